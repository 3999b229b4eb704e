"""Rows into files of bounded size, always cut at the same rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from historian.errors import Conflict
from historian.transfer.arrow_files import ArrowWriter
from historian.transfer.csv_files import CsvWriter
from historian.transfer.document import PieceFacts, file_digest, settle
from storage_engine.columns import join_columns, take_column
from storage_engine.sample import (
    Column,
    EventBatch,
    EventColumns,
    SampleBatch,
    SampleColumns,
)

LAYOUTS = ("csv", "parquet", "arrow")
BATCH_ROWS = 65_536


class Writer(Protocol):
    """A file being written."""

    def write_samples(self, batch: SampleBatch) -> None:
        """Append rows of samples."""
        ...

    def write_events(self, batch: EventBatch) -> None:
        """Append rows of events."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def open_writer(layout: str, path: Path) -> Writer:
    """Begin a file of a layout.

    Raises
    ------
    RequestInvalid
        When pyarrow is needed and missing.
    """
    if layout == "csv":
        return CsvWriter(path)
    return ArrowWriter(path, parquet=layout == "parquet")


class Roll:
    """The pieces of one group of rows: one type or kind, one year.

    Parameters
    ----------
    folder : Path
    layout : str
    rows_max : int
        Rows of a piece; a multiple of :data:`BATCH_ROWS`.
    samples, events : str, optional
        Type of the values, or kind of the events: one of them.
    year : int
    finished : dict of str to PieceFacts
        By path: these are not written again.
    on_piece : callable
        Told of each piece that has its name.
    """

    def __init__(
        self,
        folder: Path,
        layout: str,
        rows_max: int,
        *,
        samples: str | None,
        events: str | None,
        year: int,
        finished: dict[str, PieceFacts],
        on_piece: Callable[[PieceFacts], None],
    ) -> None:
        self._folder = folder
        self._layout = layout
        self._rows_max = rows_max
        self._samples = samples
        self._events = events
        self._year = year
        self._finished = finished
        self._on_piece = on_piece
        self._number = 0
        self._rows = 0
        self._writer: Writer | None = None
        self._open = False
        self.pieces: list[PieceFacts] = []

    def _path(self) -> str:
        room, name = ("samples", self._samples) if self._samples else ("events", self._events)
        return f"{room}/{name}-{self._year}-{self._number:04d}.{self._layout}"

    def write(self, batch: SampleBatch | EventBatch) -> None:
        """Write one batch: of :data:`BATCH_ROWS` rows, the last of the group of fewer."""
        if not self._open:
            self._begin()
        if self._writer is not None:
            if isinstance(batch, SampleBatch):
                self._writer.write_samples(batch)
            else:
                self._writer.write_events(batch)
        self._rows += len(batch)
        if self._rows >= self._rows_max:
            self.finish()

    def _begin(self) -> None:
        self._number += 1
        self._rows = 0
        self._open = True
        if self._path() not in self._finished:
            path = self._folder / (self._path() + ".part")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = open_writer(self._layout, path)

    def finish(self) -> None:
        """End the piece that is open, if one is.

        Raises
        ------
        Conflict
            A piece finished earlier had other rows: the store has lost some since.
        """
        if not self._open:
            return
        self._open = False
        writer, self._writer = self._writer, None
        known = self._finished.get(self._path())
        if known is None:
            assert writer is not None, "a piece that is not finished is written"
            writer.close()
            known = self._settled()
            self._on_piece(known)
        if known.rows != self._rows:
            raise Conflict(
                f"cannot go on with the export: got {self._rows} rows, want {known.rows} as "
                f"written before, at {known.path}; begin anew in an empty folder",
                got=self._rows,
                want=known.rows,
                where=known.path,
            )
        self.pieces.append(known)

    def _settled(self) -> PieceFacts:
        path = self._folder / self._path()
        part = path.with_name(path.name + ".part")
        size, digest = part.stat().st_size, file_digest(part)
        settle(part, path)
        return PieceFacts(
            self._path(), self._samples, self._events, self._year, self._rows, size, digest
        )

    def discard(self) -> None:
        """Close what is open; its file is written anew by the next run."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class SampleBatches:
    """Samples of many tags, one after the other, as batches of equal size.

    Parameters
    ----------
    roll : Roll
    """

    def __init__(self, roll: Roll) -> None:
        self._roll = roll
        self._parts: list[tuple[str, SampleColumns]] = []
        self._rows = 0

    def add(self, tag: str, rows: SampleColumns) -> None:
        """Take rows of a tag."""
        if len(rows):
            self._parts.append((tag, rows))
            self._rows += len(rows)
        if self._rows >= BATCH_ROWS:
            self._write(whole_only=True)

    def finish(self) -> None:
        """Write what is left."""
        self._write(whole_only=False)
        self._roll.finish()

    def _write(self, *, whole_only: bool) -> None:
        if not self._parts:
            return
        names = tuple(dict.fromkeys(tag for tag, _ in self._parts))
        codes = {name: code for code, name in enumerate(names)}
        index = np.repeat(
            np.array([codes[tag] for tag, _ in self._parts], np.int32),
            [len(rows) for _, rows in self._parts],
        )
        times = np.concatenate([rows.timestamp_ns for _, rows in self._parts])
        quality = np.concatenate([rows.quality for _, rows in self._parts])
        value = join_columns([rows.value for _, rows in self._parts])
        end = len(times) // BATCH_ROWS * BATCH_ROWS if whole_only else len(times)
        for begin in range(0, end, BATCH_ROWS):
            part = slice(begin, min(begin + BATCH_ROWS, end))
            used, local = np.unique(index[part], return_inverse=True)
            batch = SampleBatch(
                tuple(names[code] for code in used.tolist()),
                local.astype(np.int32),
                times[part],
                quality[part],
                take_column(value, part),
            )
            self._roll.write(batch)
        rest = len(times) - end
        self._rows = rest
        self._parts = [] if not rest else self._tail(rest)

    def _tail(self, rest: int) -> list[tuple[str, SampleColumns]]:
        """Parts that hold the last rows."""
        tail: list[tuple[str, SampleColumns]] = []
        for tag, rows in reversed(self._parts):
            part = slice(max(len(rows) - rest, 0), None)
            cut = SampleColumns(
                rows.timestamp_ns[part],
                rows.quality[part],
                take_column(rows.value, part),
                rows.lsn[part],
            )
            tail.insert(0, (tag, cut))
            rest -= len(cut)
            if rest == 0:
                break
        return tail


class EventBatches:
    """Events of one kind as batches of equal size.

    Parameters
    ----------
    roll : Roll
    kind : str
    columns : tuple of Column
    """

    def __init__(self, roll: Roll, kind: str, columns: tuple[Column, ...]) -> None:
        self._roll = roll
        self._kind = kind
        self._columns = columns
        self._parts: list[EventColumns] = []
        self._rows = 0

    def add(self, rows: EventColumns) -> None:
        """Take rows."""
        if len(rows):
            self._parts.append(rows)
            self._rows += len(rows)
        if self._rows >= BATCH_ROWS:
            self._write(whole_only=True)

    def finish(self) -> None:
        """Write what is left."""
        self._write(whole_only=False)
        self._roll.finish()

    def _write(self, *, whole_only: bool) -> None:
        if not self._parts:
            return
        times = np.concatenate([part.timestamp_ns for part in self._parts])
        ids = np.concatenate([part.event_id for part in self._parts])
        names = [column.name for column in self._columns]
        data = [join_columns([part.data[name] for part in self._parts]) for name in names]
        lsn = np.concatenate([part.lsn for part in self._parts])
        end = len(times) // BATCH_ROWS * BATCH_ROWS if whole_only else len(times)
        for begin in range(0, end, BATCH_ROWS):
            part = slice(begin, min(begin + BATCH_ROWS, end))
            held = tuple(take_column(column, part) for column in data)
            self._roll.write(EventBatch(self._kind, times[part], ids[part], self._columns, held))
        rest = slice(end, None)
        held_rest = {n: take_column(c, rest) for n, c in zip(names, data, strict=True)}
        self._rows = len(times) - end
        left = EventColumns(times[rest], ids[rest], held_rest, lsn[rest])
        self._parts = [left] if self._rows else []
