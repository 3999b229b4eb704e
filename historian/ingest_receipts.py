"""What goes into ingest and what it answers: columns in, receipts out."""

import enum
from dataclasses import dataclass

from storage_engine.sample import ColumnData, Int64Array, UInt32Array

WHOLE_SERIES = -1  # RowReject.row when every row of the series is meant


class Why(enum.IntEnum):
    """Why a row was rejected; the short word is a metric's label."""

    STORED = 0
    UNKNOWN_SLOT = 1
    NO_TAG = 2
    WRONG_TYPE = 3
    TIME_TOO_OLD = 4
    TIME_AHEAD = 5
    NAN_BUT_GOOD = 6
    NULL_BUT_GOOD = 7
    EVENT_CONFLICT = 8
    SOURCE = 9
    INEXACT = 10

    @property
    def word(self) -> str:
        """The label."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What a person reads when nothing more is known."""
        return _SENTENCES[self]


_SENTENCES = {
    Why.STORED: "stored",
    Why.UNKNOWN_SLOT: "the slot was never declared in this epoch",
    Why.NO_TAG: "no tag for this address",
    Why.WRONG_TYPE: "the type is not the one declared",
    Why.TIME_TOO_OLD: "the time is before ingest.time_min",
    Why.TIME_AHEAD: "the time is further ahead than ingest.time_ahead_max_s",
    Why.NAN_BUT_GOOD: "NaN with good quality",
    Why.NULL_BUT_GOOD: "no value with good quality",
    Why.EVENT_CONFLICT: "an event of this time and id is stored with other content",
    Why.SOURCE: "rejected at the source",
    Why.INEXACT: "the number does not fit the tag's type exactly",
}


@dataclass(frozen=True, slots=True)
class FrameReceipt:
    """What became of one frame.

    Attributes
    ----------
    producer : bytes
        16 bytes; zeros when the header could not be read.
    epoch, sequence : int
        Which frame of the producer.
    status : str
        ``stored``, ``duplicate`` (stored before, nothing changed) or ``refused``.
    rows : int
        Rows of the frame.
    rejected : int
        Of these, rows that were not stored; each is in quarantine, or counted if that is full.
    reason : str or None
        Why it was refused.
    rejects : tuple of (row, reason)
        The first ``ingest.rejects_listed_max`` of them; rows are numbered as in the frame.
    """

    producer: bytes
    epoch: int
    sequence: int
    status: str
    rows: int
    rejected: int
    reason: str | None = None
    rejects: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FramesReceipt:
    """What became of a body of frames, in order; given when all of it is durable."""

    frames: tuple[FrameReceipt, ...]


@dataclass(frozen=True, slots=True)
class SeriesInput:
    """Samples of one tag, written over HTTP: columns of n rows each."""

    tag: str
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class RowReject:
    """A row that was not stored; ``row`` -1 means every row of the series or batch."""

    tag: str
    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """What became of a write; given when it is durable.

    Attributes
    ----------
    stored : int
        Rows that the store has now.
    rejected : int
        Rows that were not stored.
    duplicate : bool
        The idempotency key was used before by this same request; nothing changed.
    lsn : int
        Log sequence number; 0 when nothing was stored.
    rejects : tuple of RowReject
        The first ``ingest.rejects_listed_max`` of them.
    former_names : tuple of (str, str)
        Names that tags had before, as the writer gave them, with the present ones.
    """

    stored: int
    rejected: int
    duplicate: bool
    lsn: int
    rejects: tuple[RowReject, ...] = ()
    former_names: tuple[tuple[str, str], ...] = ()
