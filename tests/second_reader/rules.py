"""Which rows a read gives: store.md, "Changes and tombstones", decisions 0003 and 0005."""

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from second_reader.words import Row, Tombstone

LAST, FIRST, ALL = 0, 1, 2


def known(rows: Iterable[Row], tombstones: list[Tombstone], at: int | None) -> list[Row]:
    """Rows with lsn <= `at`, without those that any erasure covers, by (time, stamp)."""
    erased = [t for t in tombstones if t.erase]
    held = [
        row
        for row in rows
        if (at is None or row.lsn <= at) and not any(t.covers(row) for t in erased)
    ]
    return sorted(held, key=lambda row: (row.time, row.stamp))


def deletes(tombstones: list[Tombstone], at: int | None) -> list[Tombstone]:
    """Delete tombstones that a read as known at `at` obeys, in lsn order."""
    return sorted(t for t in tombstones if not t.erase and (at is None or t.lsn <= at))


def series_rows(
    rows: Iterable[Row],
    tombstones: list[Tombstone],
    at: int | None,
    *,
    duplicates: int,
    all_revisions: bool,
) -> list[Row]:
    """The samples of a series as known at an lsn."""
    marks = deletes(tombstones, at)
    given: list[Row] = []
    for time, group in groupby(known(rows, tombstones, at), key=attrgetter("time")):
        kept = _revisions(list(group), [t for t in marks if t.start <= time < t.end])
        left = [row for row in kept if not any(t.covers(row) for t in marks)]
        if all_revisions or duplicates == ALL:
            given += left
        elif left:
            given.append(left[0] if duplicates == FIRST else left[-1])
    return given


def _revisions(rows: list[Row], marks: list[Tombstone]) -> list[Row]:
    """Decision 0003 over the rows of one time; a mark empties the newest kept row only."""
    kept: list[Row] = []
    seen: set[tuple[object, ...]] = set()
    newest: tuple[object, ...] | None = None
    before = -1
    for row in rows:
        if any(before < t.lsn < row.lsn for t in marks):
            newest = None
        before = row.lsn
        content = (row.quality, row.cells)
        if content == newest or (row.observed and content in seen):
            continue
        kept.append(row)
        seen.add(content)
        newest = content
    return kept


def event_rows(
    rows: Iterable[Row], tombstones: list[Tombstone], at: int | None, *, conflicts: bool
) -> list[Row]:
    """The events of a stream as known at an lsn, by (time, id)."""
    marks = deletes(tombstones, at)
    keys: dict[tuple[int, bytes], dict[tuple[object, ...], Row]] = {}
    for row in known(rows, tombstones, at):
        keys.setdefault((row.time, row.event_id), {}).setdefault(row.cells, row)
    given: list[Row] = []
    for _, contents in sorted(keys.items()):
        left = [row for row in contents.values() if not any(t.covers(row) for t in marks)]
        given += left if conflicts else left[:1]
    return given
