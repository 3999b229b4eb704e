"""Whether a store holds what an export says: counts and digests, tag by tag and year by year."""

from collections.abc import Iterator
from dataclasses import dataclass

from historian.transfer.document import Document, StreamFacts
from historian.transfer.mapping import TYPES
from historian.transfer.store import Progress, TransferStore, event_pages, sample_pages
from storage_engine.digest import (
    Digest,
    StreamDigest,
    YearDigest,
    join_years,
    series_schema,
    year_of,
    year_start_ns,
)
from storage_engine.sample import Column, ValueType


@dataclass(frozen=True, slots=True)
class Compared:
    """One series or kind: rows that the export has, rows that the store has, and equality.

    Attributes
    ----------
    name : str
        Of the tag, or of the kind of events.
    type : str
        Of the values; ``events`` for a kind.
    want_rows, got_rows : int
    equal : bool
    years : tuple of int
        Years that differ.
    damaged : bool
        The store could not read all of its rows.
    """

    name: str
    type: str
    want_rows: int
    got_rows: int
    equal: bool
    years: tuple[int, ...]
    damaged: bool


def compare(store: TransferStore, document: Document, progress: Progress) -> list[Compared]:
    """Read back the exported window and hold it against the document.

    Parameters
    ----------
    store : TransferStore
    document : Document
    progress : Progress

    Returns
    -------
    list of Compared
        One per series and kind of the document, in its order.
    """
    wanted = list(_wanted(store, document))
    progress.stage("comparing", len(wanted))
    found = []
    for name, type_, stream_id, columns, facts in wanted:
        span = (document.start_ns, document.end_ns)
        if columns is None:
            digest, damaged = _series_digest(store, stream_id, TYPES[type_], span)
        else:
            digest, damaged = _events_digest(store, stream_id, columns, span)
        years = {**{int(y): part for y, part in facts.years.items()}}
        differ = tuple(
            year
            for year in sorted({*years, *digest.years})
            if _told(years.get(year)) != _told(digest.years.get(year))
        )
        equal = facts.digest == digest.digest and facts.rows == digest.rows and not damaged
        found.append(Compared(name, type_, facts.rows, digest.rows, equal, differ, damaged))
        progress.advance(1)
    return found


def _told(part: YearDigest | None) -> tuple[int, str] | None:
    return None if part is None else (part.rows, part.digest)


_Wanted = tuple[str, str, int | None, tuple[Column, ...] | None, StreamFacts]


def _wanted(store: TransferStore, document: Document) -> Iterator[_Wanted]:
    for tag in document.tags:
        known = store.catalog.find(tag.name)
        for one in tag.series:
            series = known.series_of(TYPES[one.type]) if known is not None else None
            yield tag.name, one.type, series.stream_id if series else None, None, one.data
    streams = store.streams()
    for kind in document.events:
        columns = tuple(Column(name, TYPES[type_]) for name, type_ in kind.columns)
        yield kind.kind, "events", streams.event_stream(kind.kind), columns, kind.data


def _series_digest(
    store: TransferStore, stream_id: int | None, type_: ValueType, span: tuple[int, int]
) -> tuple[Digest, bool]:
    if stream_id is None:
        return join_years(series_schema(type_), {}), False
    digest, damaged = StreamDigest.of_series(type_), False
    for start, end in _by_year(store, stream_id, span):
        for page in sample_pages(store.engine, stream_id, start, end, None):
            digest.add_samples(page.timestamp_ns, page.quality, page.value)
            damaged |= bool(page.damage)
    return digest.finish(), damaged


def _events_digest(
    store: TransferStore,
    stream_id: int | None,
    columns: tuple[Column, ...],
    span: tuple[int, int],
) -> tuple[Digest, bool]:
    digest, damaged = StreamDigest.of_events(columns), False
    if stream_id is None:
        return digest.finish(), False
    have = {column.name for column in store.engine.streams()[stream_id].columns}
    names = [column.name for column in columns]
    if not have.issuperset(names):
        return digest.finish(), False  # a newer version's columns: nothing of ours can be equal
    for start, end in _by_year(store, stream_id, span):
        for page in event_pages(store.engine, stream_id, start, end, None, columns=names):
            digest.add_events(page.timestamp_ns, page.event_id, page.data)
            damaged |= bool(page.damage)
    return digest.finish(), damaged


def _by_year(
    store: TransferStore, stream_id: int, span: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Windows of a year within a span, where the stream may hold rows."""
    extent = store.engine.extent(stream_id)
    if extent is None:
        return
    start, end = max(span[0], extent[0]), min(span[1], extent[1] + 1)
    while start < end:
        stop = min(year_start_ns(year_of(start) + 1), end)
        yield start, stop
        start = stop
