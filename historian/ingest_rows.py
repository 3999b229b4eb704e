"""Rows of a frame, numbered over samples and then events: verdicts, payloads, counts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from historian.events import EVENT_KINDS
from historian.ingest_checks import (
    Codes,
    TimeRange,
    check_slots,
    check_times,
    check_values,
    merge,
)
from historian.ingest_receipts import Why
from historian.ingest_slots import EVENTS, NO_TAG, SlotTable
from historian.quarantine import Row
from storage_engine.engine import Appended
from storage_engine.frame import EventSection, Frame, SampleSection
from storage_engine.sample import EventBatch, source_event_id


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not stored, where it came from, and why."""

    row: int
    why: Why
    source: str
    address: str
    reason: str


def check_frame(frame: Frame, table: SlotTable, accepted: TimeRange) -> Codes | None:
    """Verdict over all rows of a frame; None when every row passes.

    Parameters
    ----------
    frame : Frame
        As decoded; its bounds of time are known to be true.
    table : SlotTable
        Of its producer.
    accepted : TimeRange
        Times that a row may have.

    Returns
    -------
    uint8, shape (rows,) or None
        ``Why`` per row.
    """
    envelope = frame.envelope
    in_time = accepted.holds(envelope.min_time_ns, envelope.max_time_ns)
    parts: list[Codes | None] = []
    for section in frame.samples:
        codes = check_slots(section.slot, table.types, section.value.type)
        codes = merge(codes, check_values(section.value, section.quality))
        if not in_time:
            codes = merge(codes, check_times(section.timestamp_ns, accepted))
        parts.append(codes)
    for events in frame.events:
        codes = _check_events(events, table)
        if not in_time:
            codes = merge(codes, check_times(events.timestamp_ns, accepted))
        parts.append(codes)
    if all(part is None for part in parts):
        return None
    sections: list[SampleSection | EventSection] = [*frame.samples, *frame.events]
    return np.concatenate(
        [
            np.zeros(len(section), np.uint8) if part is None else part
            for section, part in zip(sections, parts, strict=True)
        ]
    )


def _check_events(section: EventSection, table: SlotTable) -> Codes | None:
    code = int(table.types[section.slot]) if section.slot < len(table.types) else 0
    slot = table.get(section.slot)
    if code == EVENTS and slot is not None:
        wanted = EVENT_KINDS[slot.address][: len(section.data)]
        if [d.type for d in section.data] == [c.type for c in wanted]:
            return None
        why = Why.WRONG_TYPE
    else:
        why = Why.NO_TAG if code == NO_TAG else Why.WRONG_TYPE if code else Why.UNKNOWN_SLOT
    return np.full(len(section), why, np.uint8)


def rejected_rows(frame: Frame, table: SlotTable, codes: Codes) -> list[Refused]:
    """Name every row that a verdict rejects."""
    return [refusal(frame, table, row, Why(codes[row])) for row in np.flatnonzero(codes).tolist()]


def refusal(frame: Frame, table: SlotTable, row: int, why: Why) -> Refused:
    """Name one rejected row."""
    section, at = _locate(frame, row)
    number = section.slot if isinstance(section, EventSection) else int(section.slot[at])
    slot = table.get(number)
    if slot is None:
        reason = f"{why.sentence}, at slot {number}"
        if not table.fits(number):
            reason = f"slot {number} is beyond ingest.slots_per_producer_max"
        return Refused(row, why, "", f"slot {number}", reason)
    reason = slot.reason if why is Why.NO_TAG and slot.reason else why.sentence
    return Refused(row, why, slot.source, slot.address, reason)


def _locate(frame: Frame, row: int) -> tuple[SampleSection | EventSection, int]:
    """Return the section that holds a row, and its place in there."""
    at = row
    sections: list[SampleSection | EventSection] = [*frame.samples, *frame.events]
    for section in sections:
        if at < len(section):
            return section, at
        at -= len(section)
    raise AssertionError(f"row {row} is not in the frame")


def payload_of(frame: Frame, row: int) -> dict[str, object]:
    """Return a row's content, ready for JSON."""
    section, at = _locate(frame, row)
    time = {"time_ns": int(section.timestamp_ns[at])}
    if isinstance(section, SampleSection):
        value = section.value
        held = value.valid is None or bool(value.valid[at])
        content = value.value[at : at + 1].tolist()[0] if held else None
        if isinstance(content, float) and content != content:  # noqa: PLR0124 - NaN
            content = "NaN"
        return {**time, "value": content, "quality": int(section.quality[at])}
    columns = [
        None if d.valid is not None and not d.valid[at] else d.value[at : at + 1].tolist()[0]
        for d in section.data
    ]
    return {**time, "id": section.event_id[at].tobytes().hex(), "columns": columns}


def by_source(refused: Sequence[Refused]) -> dict[str, list[Refused]]:
    """Group rejected rows by their source."""
    groups: dict[str, list[Refused]] = {}
    for one in refused:
        groups.setdefault(one.source, []).append(one)
    return groups


def section_batch(section: EventSection, kind: str) -> EventBatch:
    """Return an events section as a batch of its kind; the columns are the kind's first ones."""
    columns = EVENT_KINDS[kind][: len(section.data)]
    return EventBatch(kind, section.timestamp_ns, section.event_id, columns, section.data)


def stored_by_source(frame: Frame, table: SlotTable, codes: Codes | None) -> dict[str, int]:
    """Count the rows that pass by their source."""
    names = table.source_names
    if codes is None and len(names) == 1:
        return {names[0]: frame.envelope.row_count} if frame.envelope.row_count else {}
    counts = np.zeros(max(len(names), 1), np.int64)
    first = 0
    sections: list[SampleSection | EventSection] = [*frame.samples, *frame.events]
    for section in sections:
        part = None if codes is None else codes[first : first + len(section)] == 0
        first += len(section)
        if isinstance(section, EventSection):
            kept = len(section) if part is None else int(part.sum())
            if kept:
                counts[table.sources[section.slot]] += kept
            continue
        slots = section.slot if part is None else section.slot[part]
        counts += np.bincount(table.sources[slots], minlength=len(counts))
    return {name: int(n) for name, n in zip(names, counts.tolist(), strict=False) if n}


def missing_event(frame: Frame, appended: Appended, now_ns: int) -> Row:
    """Return the gap event of frames that never came, or came from another past."""
    envelope = frame.envelope
    producer = envelope.producer_id.hex()
    if appended.missing_frames:
        reason = f"{appended.missing_frames} frames before {envelope.sequence} never came"
    else:
        reason = f"frame {envelope.sequence} does not follow the one stored before it"
    facts = {"collector": producer, "count": appended.missing_frames, "reason": reason}
    event_id = source_event_id(f"{producer}/{envelope.epoch}", f"missing/{envelope.sequence}")
    return now_ns, event_id, facts
