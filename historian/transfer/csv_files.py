"""CSV files: ours written, any read. RFC 4180, UTF-8, one record a line where we write them."""

import csv
import itertools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path

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
        line = reader.line_num
        if not header:
            file.seek(0)
            line = 0
        while lines := list(itertools.islice(file, CHUNK_ROWS)):
            chunk = _plain(names, lines, line, delimiter)
            line += len(lines)
            if chunk is None:
                found = _records(lines, file, delimiter)
                chunk = _chunk(names, found, line - len(lines), skip)
                line += found[-1][0] - len(lines) if found else 0
                passed = min(skip, len(found))
            else:
                passed = min(skip, len(lines))
                chunk = _behind(chunk, passed)
            skip -= passed
            if chunk.consumed:
                yield chunk


def _plain(names: Sequence[str], lines: list[str], before: int, delimiter: str) -> RawChunk | None:
    """Rows of lines without quotes, all of the right width; None when they are not."""
    text = "".join(lines)
    if '"' in text or len(names) < 2:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            return None
    text = text.removesuffix("\n")
    if set(map(operator.methodcaller("count", delimiter), lines)) != {len(names) - 1}:
        return None
    fields = text.replace("\n", delimiter).split(delimiter)
    columns = {name: fields[place :: len(names)] for place, name in enumerate(names)}
    return RawChunk(columns, range(before + 1, before + 1 + len(lines)), len(lines))


_Record = tuple[int, list[str] | None]  # lines of the chunk read behind it; None: no CSV


def _records(lines: list[str], file: Iterator[str], delimiter: str) -> list[_Record]:
    """Records that begin in some lines; the last may take more lines from the file."""
    reader = csv.reader(itertools.chain(lines, file), delimiter=delimiter, strict=True)
    found: list[_Record] = []
    while reader.line_num < len(lines):
        try:
            row: list[str] | None = next(reader)
        except StopIteration:
            break
        except csv.Error:
            row = None
        found.append((reader.line_num, row))
    return found


def _chunk(names: Sequence[str], records: Sequence[_Record], before: int, skip: int) -> RawChunk:
    width = len(names)
    good: list[list[str]] = []
    kept: list[int] = []
    rejects: list[Reject] = []
    line = before + 1 + (records[skip - 1][0] if 0 < skip <= len(records) else 0)
    records = records[skip:]
    for behind, row in records:
        if row is not None and len(row) == width:
            good.append(row)
            kept.append(line)
        elif row is None or row:  # an empty line is nothing
            rejects.append(_no_row(line, row, width))
        line = before + behind + 1
    columns = list(map(list, zip(*good, strict=True))) if good else [[] for _ in names]
    return RawChunk(dict(zip(names, columns, strict=False)), kept, len(records), rejects)


def _behind(chunk: RawChunk, skip: int) -> RawChunk:
    """What comes behind the first rows of a plain chunk."""
    if skip == 0:
        return chunk
    cut = {name: cells[skip:] for name, cells in chunk.columns.items() if isinstance(cells, list)}
    return RawChunk(cut, chunk.lines[skip:], chunk.consumed - skip)


def _no_row(line: int, row: list[str] | None, width: int) -> Reject:
    if row is None:
        return Reject(line, "no CSV: got a quote or a field that does not end", "")
    text = ",".join(row)[:REJECT_TEXT_CHARACTERS]
    return Reject(line, f"got {len(row)} fields, want {width}", text)
