"""Local times of a zone as instants. Instants are int64 nanoseconds UTC."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta

from query.errors import BadRequest

SECOND_NS = 1_000_000_000
DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Years whose every instant fits the times of a query, with a year to spare on both sides.
_YEAR_FIRST, _YEAR_LAST = 1825, 2114


class Zone:
    """A zone of the IANA database.

    Parameters
    ----------
    name : str
        ``Europe/Berlin``, ``UTC``.

    Raises
    ------
    BadRequest
        For a name that is no zone.
    """

    def __init__(self, name: str) -> None:
        try:
            self._zone = zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadRequest(
                "find the zone",
                got=repr(name[:64]),
                want="a name of the IANA database, such as Europe/Berlin or UTC",
                where="zone",
            ) from error
        self.name = name

    def local(self, time_ns: int) -> datetime:
        """Local time of an instant, to the second, without zone."""
        moment = _EPOCH + timedelta(seconds=time_ns // SECOND_NS)
        return moment.astimezone(self._zone).replace(tzinfo=None)

    def day_of(self, time_ns: int) -> date:
        """Local date of an instant."""
        self._check(time_ns)
        return self.local(time_ns).date()

    def instants(self, day: date, second: int) -> list[int]:
        """Find when local clocks show a time of a day.

        Parameters
        ----------
        day : date
        second : int
            Seconds after midnight; a day or more counts into the days after.

        Returns
        -------
        list of int
            Two when clocks were set back over it, ascending. One else: when clocks were set
            forward over it, the moment of that.
        """
        days, rest = divmod(second, DAY_S)
        wall = datetime.combine(day + timedelta(days=days), time()) + timedelta(seconds=rest)
        early, late = (self._seconds(wall, fold) for fold in (0, 1))
        if early == late:
            return [early * SECOND_NS]
        if early < late:
            return [early * SECOND_NS, late * SECOND_NS]
        return [self._change(late, early) * SECOND_NS]

    def midnight(self, day: date) -> int:
        """First instant of a local date."""
        return self.instants(day, 0)[0]

    def _check(self, time_ns: int) -> None:
        year = (_EPOCH + timedelta(seconds=time_ns // SECOND_NS)).year
        if not _YEAR_FIRST <= year <= _YEAR_LAST:
            raise BadRequest(
                "cut by the calendar",
                got=f"a time in {year}",
                want=f"years {_YEAR_FIRST} to {_YEAR_LAST}",
                where="start_ns, end_ns",
            )

    def _seconds(self, wall: datetime, fold: int) -> int:
        moment = wall.replace(tzinfo=self._zone, fold=fold)
        return round((moment - _EPOCH).total_seconds())

    def _offset_s(self, second: int) -> int:
        moment = _EPOCH + timedelta(seconds=second)
        offset = moment.astimezone(self._zone).utcoffset()
        assert offset is not None, "it has a zone"
        return round(offset.total_seconds())

    def _change(self, before_s: int, after_s: int) -> int:
        """First second of the offset that holds at ``after_s``."""
        offset = self._offset_s(after_s)
        while after_s - before_s > 1:
            middle = (before_s + after_s) // 2
            if self._offset_s(middle) == offset:
                after_s = middle
            else:
                before_s = middle
        return after_s
