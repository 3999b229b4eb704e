"""Rows that were not stored are kept, within a bound per source and hour, as quarantine events."""

import hashlib
from collections.abc import Mapping

import orjson

from storage_engine.clock import Clock

HOUR_NS = 3_600 * 1_000_000_000
_SOURCES_MAX = 10_000

Row = tuple[int, bytes, Mapping[str, object]]


class Quarantine:
    """Decides what is still kept, and shapes it; writing is done by ingest.

    Parameters
    ----------
    clock : Clock
        Hours and times of the events.
    rows_per_hour_max : int
        Kept per source and hour; the rest is counted by the metrics alone.
    payload_bytes_max : int
        Kept of a payload.
    """

    def __init__(self, clock: Clock, rows_per_hour_max: int, payload_bytes_max: int) -> None:
        self._clock = clock
        self._rows_per_hour_max = rows_per_hour_max
        self._payload_bytes_max = payload_bytes_max
        self._hour = 0
        self._kept: dict[str, int] = {}
        self.dropped = 0  # rejected rows whose contents were not kept, since start

    def allow(self, source: str, wanted: int) -> int:
        """Return how many of ``wanted`` rows of a source may be kept now, and count them."""
        hour = self._clock.now_ns() // HOUR_NS
        if hour != self._hour:
            self._hour = hour
            self._kept.clear()
        if source not in self._kept and len(self._kept) >= _SOURCES_MAX:
            source = ""  # beyond the bound all further sources share one allowance
        kept = self._kept.get(source, 0)
        allowed = max(0, min(wanted, self._rows_per_hour_max - kept))
        self._kept[source] = kept + allowed
        self.dropped += wanted - allowed
        return allowed

    def row(self, key: str, source: str, address: str, reason: str, payload: object) -> Row:
        """Shape one kept row.

        Parameters
        ----------
        key : str
            What makes it distinct: producer, epoch, sequence, row.
        source, address : str
            Where it came from.
        reason : str
            Why it was not stored.
        payload : object
            The row itself, ready for JSON.

        Returns
        -------
        (timestamp_ns, event_id, facts)
        """
        now_ns = self._clock.now_ns()
        event_id = hashlib.blake2b(key.encode(), digest_size=16, person=b"lh-quarantine").digest()
        text = orjson.dumps(payload, default=_unknown, option=orjson.OPT_SERIALIZE_NUMPY)
        cut = text[: self._payload_bytes_max].decode("utf-8", "ignore")
        facts = {"source": source, "address": address, "reason": reason, "payload": cut}
        return now_ns, event_id, facts


def _unknown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else repr(value)
