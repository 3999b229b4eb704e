"""What a transfer needs of a historian, and rows of the store page by page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from historian.catalog import Catalog
from historian.config_server import IngestConfig
from historian.ingest_streams import Streams
from historian.runtime import Historian
from storage_engine.clock import Clock
from storage_engine.columns import take_column
from storage_engine.engine import Engine
from storage_engine.sample import EventColumns, SampleColumns

TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1
PAGE_ROWS = 262_144
_DAY_NS = 86_400 * 1_000_000_000
_WINDOW_MAX_NS = 366 * _DAY_NS


class Progress(Protocol):
    """Told how far it is. Any method may raise, and so end the work where it can go on later."""

    def stage(self, text: str, total: int | None) -> None:
        """Begin something that has so many units."""
        ...

    def advance(self, count: int) -> None:
        """So many units more."""
        ...


class Silent:
    """Progress that nobody watches."""

    def stage(self, text: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class TransferStore:
    """The parts of an open historian.

    Attributes
    ----------
    engine : Engine
    catalog : Catalog
    clock : Clock
    ingest : IngestConfig
        Bounds that times of rows must keep.
    pace : callable
        Told the bytes of each segment written; may sleep, or raise to end the work.
    """

    engine: Engine
    catalog: Catalog
    clock: Clock
    ingest: IngestConfig
    pace: Callable[[int], None] = lambda size: None

    def streams(self) -> Streams:
        """Streams by what they mean."""
        return Streams(self.engine)


def store_of(historian: Historian) -> TransferStore:
    """Parts of an open historian; raises NotReady while its engine is closed."""
    parts = (historian.engine, historian.catalog, historian.clock, historian.config.ingest)
    return TransferStore(*parts)


def sample_pages(
    engine: Engine, series_id: int, start_ns: int, end_ns: int, known_at_lsn: int | None
) -> Iterator[SampleColumns]:
    """Samples with start <= time < end, in order, in pages of bounded size."""
    while start_ns < end_ns:
        page = engine.read(
            series_id, start_ns, end_ns, known_at_lsn=known_at_lsn, max_count=PAGE_ROWS
        )
        if len(page) < PAGE_ROWS:
            yield page
            return
        last = int(page.timestamp_ns[-1])
        # A time may hold several rows: those of the last one come with the next page.
        whole = int(np.searchsorted(page.timestamp_ns, last))
        if whole == 0:
            yield engine.read(series_id, last, last + 1, known_at_lsn=known_at_lsn)
            start_ns = last + 1
            continue
        part = slice(0, whole)
        value = take_column(page.value, part)
        yield SampleColumns(
            page.timestamp_ns[part], page.quality[part], value, page.lsn[part], page.damage
        )
        start_ns = last


def event_pages(
    engine: Engine,
    stream_id: int,
    start_ns: int,
    end_ns: int,
    known_at_lsn: int | None,
    *,
    columns: list[str] | None = None,
) -> Iterator[EventColumns]:
    """Events with start <= time < end, in order, in windows that follow their density."""
    width = _DAY_NS
    while start_ns < end_ns:
        stop = min(start_ns + width, end_ns)
        page = engine.read_events(
            stream_id, start_ns, stop, columns=columns, known_at_lsn=known_at_lsn
        )
        yield page
        if len(page) > PAGE_ROWS:
            width = max(width // 4, 1_000_000_000)
        elif len(page) < PAGE_ROWS // 8:
            width = min(width * 4, _WINDOW_MAX_NS)
        start_ns = stop
