"""Joining tags: one goes on with the history of another, as far as it can be decided."""

from typing import Any

from historian.catalog import Catalog
from historian.catalog_joins import Join
from historian.catalog_records import TagRecord
from historian.errors import Conflict, NotFound
from query.eng_unit_words import factors_of
from query.ports import SampleReader

_EVER = (-(2**63), 2**63 - 1)


class Joining:
    """Makes and takes back joins of tags, each in one transaction with its audit entry.

    Parameters
    ----------
    catalog : Catalog
    reader : SampleReader
        Knows what the series hold.
    """

    def __init__(self, catalog: Catalog, reader: SampleReader) -> None:
        self._catalog = catalog
        self._reader = reader

    def join(self, name: str, former: str, from_ns: int | None, principal: str) -> Join:
        """Let a tag go on with the history of another; joined before, it is joined anew.

        Parameters
        ----------
        name : str
            The tag that goes on.
        former : str
            The one that it goes on with.
        from_ns : int or None
            Time from which its own samples count; None: its oldest sample.
        principal : str

        Raises
        ------
        NotFound
            For a name that no tag has.
        Conflict
            For a circle, a tag that another goes on with already, units that differ, and samples
            that would be hidden: of the former tag from that time on, of the other before it.
        """
        catalog = self._catalog
        with catalog.held():
            tag, old = self._tag(name), self._tag(former)
            joins = catalog.joins
            ids = [old.id, *(one.former for one in joins.chain(old.id))]
            if tag.id in ids:
                raise _refusal(tag, old.name, "a tag that does not itself go on with it", "tag")
            other = joins.behind(old.id)
            if other is not None and other.tag != tag.id:
                by = catalog.find_id(other.tag).name
                got = f"{old.name!r}, which {by!r} goes on with"
                raise _refusal(tag, got, "a tag that no other goes on with", "tag")
            if not _same_unit(tag.eng_unit, old.eng_unit):
                got, want = f"the unit {old.eng_unit!r}", f"{tag.eng_unit!r}, as of {tag.name!r}"
                raise _refusal(tag, got, want, "eng_unit")
            made = Join(tag.id, old.id, self._decided(tag, old, from_ns))
            held = joins.before(tag.id)
            if held != made:
                with catalog.database.transaction():
                    joins.put(made)
                    facts = self.facts(held), self.facts(made)
                    catalog.database.record(principal, "join tag", tag.name, *facts)
                joins.reload()
            return made

    def part(self, name: str, principal: str) -> None:
        """Take a join back: the tag shows its own samples alone again.

        Raises
        ------
        NotFound
            For a name that no tag has, and a tag that goes on with none.
        """
        catalog = self._catalog
        with catalog.held():
            tag = self._tag(name)
            held = catalog.joins.before(tag.id)
            if held is None:
                want = "a tag that goes on with another"
                message = f"cannot part tag: got {tag.name!r}, want {want}"
                raise NotFound(message, got=tag.name, want=want, where="tag")
            with catalog.database.transaction():
                catalog.joins.remove(tag.id)
                catalog.database.record(principal, "part tag", tag.name, self.facts(held), None)
            catalog.joins.reload()

    def facts(self, join: Join | None) -> dict[str, Any] | None:
        """Tell a join, for the audit."""
        if join is None:
            return None
        old = self._catalog.find_id(join.former)
        return {"continues": old.name, "uuid": old.uuid.hex(), "from_ns": join.from_ns}

    def _tag(self, name: str) -> TagRecord:
        tag = self._catalog.find(name)
        if tag is None:
            message = f"cannot join tags: got {name!r}, want a tag of the catalog"
            raise NotFound(message, got=name, want="a tag of the catalog", where="tag")
        return tag

    def _decided(self, tag: TagRecord, old: TagRecord, from_ns: int | None) -> int:
        """Time of the join; raises Conflict where samples would be hidden."""
        joins = self._catalog.joins
        oldest, newest = self._oldest(tag), self._newest(old)
        if from_ns is None:
            if oldest is None:
                want = "a time: the tag has no samples yet"
                raise _refusal(tag, "no time", want, "at")
            from_ns = oldest
        if oldest is not None and oldest < from_ns:
            got = f"{tag.name!r} with samples from {oldest} on, before {from_ns}"
            raise _refusal(tag, got, f"a time at or before {oldest}", "at")
        if newest is not None and newest >= from_ns:
            got = f"{old.name!r} with samples up to {newest}, from {from_ns} on"
            want = f"a time after {newest}, and a tag that nobody writes any more"
            raise _refusal(tag, got, want, "at")
        earlier, later = joins.before(old.id), joins.behind(tag.id)
        if earlier is not None and earlier.from_ns >= from_ns:
            want = f"a time after {earlier.from_ns}, from which {old.name!r} goes on with another"
            raise _refusal(tag, from_ns, want, "at")
        if later is not None and later.from_ns <= from_ns:
            want = f"a time before {later.from_ns}, from which another goes on with {tag.name!r}"
            raise _refusal(tag, from_ns, want, "at")
        return from_ns

    def _oldest(self, tag: TagRecord) -> int | None:
        """Time of the oldest sample of a tag's own."""
        ids = [series.stream_id for series in tag.series]
        found = [self._reader.next(one, _EVER[0], inclusive=True) for one in ids]
        times = [int(one.timestamp_ns[0]) for one in found if len(one)]
        return min(times, default=None)

    def _newest(self, tag: TagRecord) -> int | None:
        found = self._reader.latest([series.stream_id for series in tag.series])
        return max(found.timestamp_ns[found.present].tolist(), default=None)


def _same_unit(one: str, other: str) -> bool:
    """Whether units are the same, however they are spelled; none goes with any."""
    if not one.strip() or not other.strip() or one.strip() == other.strip():
        return True
    product = factors_of(one)
    return product is not None and product == factors_of(other)


def _refusal(tag: TagRecord, got: object, want: str, where: str) -> Conflict:
    message = f"cannot join tag {tag.name!r}: got {got}, want {want}, at {where}"
    return Conflict(message, got=got, want=want, where=where)
