"""CSV files: ours written, any read. RFC 4180, UTF-8, one record a line where we write them."""

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from historian.transfer.rows import REJECT_TEXT_CHARACTERS, RawChunk, Reject
from historian.transfer.texts import texts_of
from storage_engine.sample import EventBatch, SampleBatch

SAMPLE_HEADER = ("tag", "timestamp", "quality", "value")
EVENT_HEADER = ("timestamp", "id")
CHUNK_ROWS = 65_536
FIELD_BYTES_MAX = 16 << 20
_MARKS = frozenset('",\r\n')


class CsvWriter:
    """A piece as CSV.

    Parameters
    ----------
    path : Path
        Made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._empty = True

    def _header(self, names: Sequence[str]) -> None:
        if self._empty:
            self._file.write(",".join(map(_quoted, names)) + "\n")
            self._empty = False

    def write_samples(self, batch: SampleBatch) -> None:
        """Write rows: tag, nanoseconds since 1970, quality code, value."""
        self._header(SAMPLE_HEADER)
        names = [_quoted(name) for name in batch.addresses]
        tags = [names[code] for code in batch.address_index.tolist()]
        times, qualities = batch.timestamp_ns.tolist(), batch.quality.tolist()
        values = _fields(texts_of(batch.value))
        rows = zip(tags, times, qualities, values, strict=True)
        self._file.write("".join([f"{g},{t},{q},{v}\n" for g, t, q, v in rows]))

    def write_events(self, batch: EventBatch) -> None:
        """Write rows: nanoseconds since 1970, id in hex, then the kind's columns."""
        self._header([*EVENT_HEADER, *(column.name for column in batch.columns)])
        fields = [map(str, batch.timestamp_ns.tolist()), [bytes(i).hex() for i in batch.event_id]]
        fields += [_fields(texts_of(column)) for column in batch.data]
        self._file.write("".join([",".join(row) + "\n" for row in zip(*fields, strict=True)]))

    def close(self) -> None:
        """End the file."""
        self._file.close()


def _quoted(text: str) -> str:
    if _MARKS.isdisjoint(text) and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def _fields(texts: list[str]) -> list[str]:
    joined = "".join(texts)
    if _MARKS.isdisjoint(joined) and " " not in joined:
        return texts
    return [_quoted(text) for text in texts]


def read_csv(
    path: Path, *, skip: int = 0, delimiter: str = ",", header: bool = True
) -> Iterator[RawChunk]:
    """Read a CSV file in chunks.

    Parameters
    ----------
    path : Path
    skip : int
        Records to pass over, the header not counted.
    delimiter : str
    header : bool
        Whether the first record names the columns; otherwise they are called 1, 2, 3 ...

    Yields
    ------
    RawChunk
    """
    csv.field_size_limit(FIELD_BYTES_MAX)
    with path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        first = next(reader, [])
        names = first if header else [str(n) for n in range(1, len(first) + 1)]
        records: Iterator[list[str] | None] = _records(reader)
        if not header and first:
            records = itertools.chain([first], records)
        line = reader.line_num if header else 0
        for _ in itertools.islice(records, skip):
            pass
        line = line if skip == 0 else reader.line_num
        while True:
            rows = list(itertools.islice(records, CHUNK_ROWS))
            if not rows:
                return
            yield _chunk(names, rows, line, reader.line_num)
            line = reader.line_num


def _records(reader: "csv.Reader") -> Iterator[list[str] | None]:  # type: ignore[name-defined]
    """Records; None for one that is no CSV, behind which reading goes on at the next line."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None


def _chunk(
    names: Sequence[str], rows: Sequence[list[str] | None], before: int, after: int
) -> RawChunk:
    count, width = len(rows), len(names)
    lines: Sequence[int] = range(before + 1, before + 1 + count)
    if after - before != count:  # records with ends of lines in them, or blank lines
        heights = [1 if row is None else 1 + sum(f.count("\n") for f in row) for row in rows]
        lines = (before + 1 + np.concatenate(([0], np.cumsum(heights[:-1])))).astype(int).tolist()
    rejects: list[Reject] = []
    good: Sequence[list[str]]
    if all(row is not None and len(row) == width for row in rows):
        good = rows  # type: ignore[assignment]
    else:
        good, kept = [], []
        for line, row in zip(lines, rows, strict=True):
            if row is not None and len(row) == width:
                good.append(row)
                kept.append(line)
            elif row is None or row:  # an empty line is nothing
                rejects.append(_no_row(line, row, width))
        lines = kept
    columns = list(map(list, zip(*good, strict=True))) if good else [[] for _ in names]
    return RawChunk(dict(zip(names, columns, strict=False)), lines, count, rejects)


def _no_row(line: int, row: list[str] | None, width: int) -> Reject:
    if row is None:
        return Reject(line, "no CSV: got a quote or a field that does not end", "")
    text = ",".join(row)[:REJECT_TEXT_CHARACTERS]
    return Reject(line, f"got {len(row)} fields, want {width}", text)
