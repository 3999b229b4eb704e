"""Frames of a log whose streams and bindings are lost: their rows get streams of their own."""

from collections.abc import Iterator

from storage_engine.errors import DataError, LimitExceeded
from storage_engine.frame import Envelope, Frame, decode_frame
from storage_engine.prepare import split_record
from storage_engine.sample import ValueType
from storage_engine.state import State
from storage_engine.tools.recover import Recovered, made_up
from storage_engine.tools.survey import Survey
from storage_engine.wal_record import Record, RecordKind


def name_unbound(state: State, record: Record, found: Survey, taken: Recovered) -> None:
    """Make up streams for slots of a frame that nothing binds, so that its rows are kept.

    Parameters
    ----------
    state : State
        Gets streams and bindings.
    record : Record
        About to be applied; other kinds than frames are left alone.
    found : Survey
        Gets the streams.
    taken : Recovered
        Is told what they were.
    """
    if record.kind is not RecordKind.FRAME:
        return
    try:
        _, data = split_record(record.body)
        frame = decode_frame(data)
    except (DataError, LimitExceeded):
        return  # applying it will name it
    envelope = frame.envelope
    bound = state.producers.bindings(envelope.producer_id, envelope.epoch)
    told = {d.slot: f"{d.source} {d.address}" for d in frame.declarations}
    for slot, types, events in _slots(frame):
        stream_id = bound.get(slot)
        if stream_id and stream_id in state.streams.by_id:
            continue
        if not stream_id:
            stream_id = max([found.highest_stream, *found.streams]) + 1
            state.producers.bind(envelope.producer_id, envelope.epoch, {slot: stream_id})
        info = made_up(stream_id, types, events=events)
        state.streams.put(info)
        found.streams[stream_id] = info
        taken.unnamed[stream_id] = told.get(slot) or _was(envelope, slot)


def _was(envelope: Envelope, slot: int) -> str:
    return f"slot {slot} of producer {envelope.producer_id.hex()} in epoch {envelope.epoch}"


def _slots(frame: Frame) -> Iterator[tuple[int, list[ValueType], bool]]:
    """(slot, types of its columns, whether it is of events) of the frame's rows."""
    for section in frame.samples:
        for slot in sorted(set(section.slot.tolist())):
            yield slot, [section.value.type], False
    for part in frame.events:
        yield part.slot, [column.type for column in part.data], True
