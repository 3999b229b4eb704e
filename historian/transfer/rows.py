"""What passes between files and store: rows read, rows refused, and what refuses them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage_engine.sample import ColumnData, EventBatch, SampleBatch

Texts = list[str]
Cells = Texts | ColumnData  # a column as a CSV file or as an Arrow table gives it
REJECT_TEXT_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not taken: its line (or row) in the file, from 1, why, and its text."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Some rows of a file as they stand there.

    Attributes
    ----------
    columns : mapping of str to list of str or ColumnData, n rows
    lines : sequence of int, n rows
        Where each row stands, for messages.
    consumed : int
        Records read, refused ones too.
    rejects : list of Reject
        Records that are no rows.
    """

    columns: Mapping[str, Cells]
    lines: Sequence[int]
    consumed: int
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file, typed; addresses of samples are names of tags."""

    samples: list[SampleBatch]
    events: list[EventBatch]
    consumed: int
    rejects: list[Reject]


def row_text(columns: Mapping[str, Cells], row: int) -> str:
    """One row for the file of rejects, cut to a bearable length."""
    shown = []
    for cells in columns.values():
        if isinstance(cells, ColumnData):
            known = cells.valid is None or bool(cells.valid[row])
            shown.append(str(cells.value[row]) if known else "")
        else:
            shown.append(cells[row])
    return ",".join(shown)[:REJECT_TEXT_CHARACTERS]
