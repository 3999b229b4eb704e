"""What people do to history: edits, deletions, erasures, annotations; who, when, why.

A change is a record of the log and a row of the engine's own event stream, so that it lies in
segments, is read *as known at*, is backed up and exported like any other event. An edit's new
values are ordinary samples behind it; a deletion or erasure works by the tombstone it carries.
"""

import enum
import json
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import Rows
from storage_engine.errors import InvalidArgument
from storage_engine.head import EventRows
from storage_engine.sample import EVENT_ID_DTYPE, Column, ColumnData, ValueType
from storage_engine.tombstones import Tombstone

CHANGES_UUID = b"lighthouse:chang"
CHANGES_CLASS = "changes"
CHANGE_COLUMNS = (
    Column("verb", ValueType.SYMBOL),
    Column("stream", ValueType.UINT64),
    Column("start_ns", ValueType.INT64),
    Column("end_ns", ValueType.INT64),
    Column("principal", ValueType.TEXT),
    Column("reason", ValueType.TEXT),
    Column("comment", ValueType.TEXT),
)
TEXT_MAX = 4000


class Verb(enum.StrEnum):
    """What was done."""

    EDIT = "edit"
    DELETE = "delete"
    ERASE = "erase"
    ANNOTATE = "annotate"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a range of a stream.

    Attributes
    ----------
    verb : Verb
    stream_id : int
    start_ns, end_ns : int
        start <= time < end, nanoseconds UTC.
    principal : str
        Who did it.
    reason : str
        Why.
    comment : str
        An annotation's text, or what else is worth keeping.
    """

    verb: Verb
    stream_id: int
    start_ns: int
    end_ns: int
    principal: str
    reason: str
    comment: str = ""

    def check(self) -> None:
        """Refuse an empty window, nobody, no reason, endless text, or text that is no UTF-8.

        Raises
        ------
        InvalidArgument
        """
        if not -(2**63) <= self.start_ns < self.end_ns <= 2**63 - 1:
            raise InvalidArgument(
                f"cannot {self.verb}: got window {self.start_ns} to {self.end_ns}, "
                f"want start before end, within 64 bits"
            )
        for name in ("principal", "reason", "comment"):
            text = getattr(self, name)
            if len(text) > TEXT_MAX or (name != "comment" and not text.strip()):
                raise InvalidArgument(
                    f"cannot {self.verb}: got {name} of {len(text)} characters, "
                    f"want {int(name != 'comment')} to {TEXT_MAX}"
                )
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise InvalidArgument(
                    f"cannot {self.verb}: got a lone surrogate in {name}, want UTF-8 text"
                )

    def body(self, into: int) -> bytes:
        """Body of a CHANGE record; ``into`` is the stream that the row goes to."""
        facts = {
            "into": into,
            "verb": str(self.verb),
            "stream": self.stream_id,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "principal": self.principal,
            "reason": self.reason,
            "comment": self.comment,
        }
        return json.dumps(facts, separators=(",", ":")).encode()

    def tombstone(self, lsn: int) -> Tombstone | None:
        """What a deletion or erasure leaves, None for the other verbs."""
        if self.verb not in {Verb.DELETE, Verb.ERASE}:
            return None
        erase = self.verb is Verb.ERASE
        return Tombstone(lsn, self.stream_id, self.start_ns, self.end_ns, erase)

    def rows(self, into: int, lsn: int, record_time_ns: int) -> EventRows:
        """Row of the stream of changes: time is the record's, id its lsn, big-endian.

        Parameters
        ----------
        into : int
        lsn : int
        record_time_ns : int

        Returns
        -------
        EventRows
        """
        values: tuple[object, ...] = (
            str(self.verb),
            self.stream_id,
            self.start_ns,
            self.end_ns,
            self.principal,
            self.reason,
            self.comment,
        )
        data = []
        for column, value in zip(CHANGE_COLUMNS, values, strict=True):
            held = np.empty(1, np.object_)
            held[0] = value
            number = {ValueType.UINT64: np.uint64, ValueType.INT64: np.int64}.get(column.type)
            data.append(ColumnData(column.type, held.astype(number) if number else held))
        rows = Rows(
            np.array([record_time_ns], np.int64),
            np.array([lsn * 2], np.uint64),
            None,
            np.array([lsn.to_bytes(16, "big")], EVENT_ID_DTYPE),
            tuple(data),
        )
        return EventRows(into, rows)


def change_of(body: bytes) -> tuple[int, Change]:
    """Read a CHANGE record.

    Parameters
    ----------
    body : bytes

    Returns
    -------
    into : int
        Stream of changes.
    change : Change

    Raises
    ------
    ValueError, KeyError
        When it is no such record.
    """
    facts = json.loads(body)
    change = Change(
        Verb(facts["verb"]),
        int(facts["stream"]),
        int(facts["start_ns"]),
        int(facts["end_ns"]),
        str(facts["principal"]),
        str(facts["reason"]),
        str(facts["comment"]),
    )
    return int(facts["into"]), change
