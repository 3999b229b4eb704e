"""The frame that stands where a full spool dropped others: what was lost, in the loss's place.

It carries the declarations of the frames it replaces, for the frames behind it use those slots, and
the sequence number of the last one, so that the server counts on from there. If the server had
stored that last frame already, the gap frame is a duplicate and nothing was lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.frame import Declaration, Frame, Notice, decode_frame, encode_frame

_REASON = "the spool was full"
_KEPT = frozenset({"metadata", "source_state"})  # and gaps that others named
_Declared = Callable[[int], Mapping[int, Declaration]]


@dataclass(slots=True)
class _Loss:
    start_ns: int
    end_ns: int
    count: int

    def add(self, start_ns: int, end_ns: int, count: int) -> None:
        self.start_ns = min(self.start_ns, start_ns)
        self.end_ns = max(self.end_ns, end_ns)
        self.count += count


def gap_frame(frames: Sequence[bytes], declared: _Declared) -> tuple[bytes, int]:
    """Frame in place of others.

    Parameters
    ----------
    frames : sequence of bytes
        At least one, in order; gap frames among them are merged.
    declared : callable
        Epoch -> slots declared in it by frames that are gone already.

    Returns
    -------
    frame : bytes
    lost : int
        Frames that carried rows or notices and are gone.
    """
    decoded = [decode_frame(frame) for frame in frames]
    last = decoded[-1].envelope
    declarations: dict[tuple[int, int], Declaration] = {}
    sources: dict[tuple[int, int], str] = {}
    losses: dict[str, _Loss] = {}
    notices: list[Notice] = []
    lost = 0
    for frame in decoded:
        epoch = frame.envelope.epoch
        for one in frame.declarations:
            declarations[epoch, one.slot] = one
            sources[epoch, one.slot] = one.source
        earlier = [notice for notice in frame.notices if _is_ours(notice)]
        for notice in earlier:
            facts = notice.facts
            found = int(str(facts["start_ns"])), int(str(facts["end_ns"])), int(str(facts["count"]))
            _add(losses, str(facts["source"]), *found)
        for notice in frame.notices:
            if notice.kind in _KEPT or (notice.kind == "gap" and not _is_ours(notice)):
                notices.append(notice)
            elif notice.kind == "reject":  # a value that could not be mapped is lost like others
                at = notice.facts.get("time_ns")
                if isinstance(at, int):
                    _add(losses, str(notice.facts.get("source", "")), at, at, 1)
        lost += bool(frame.envelope.row_count or len(earlier) < len(frame.notices))
        for slot, times in _rows(frame):
            if (epoch, slot) not in sources:
                held = declared(epoch).get(slot)
                sources[epoch, slot] = "" if held is None else held.source
            source = sources[epoch, slot]
            _add(losses, source, int(times.min()), int(times.max()), len(times))
    current = [one for (epoch, _), one in declarations.items() if epoch == last.epoch]
    notices += [_notice(source, loss) for source, loss in sorted(losses.items())]
    frame_bytes = encode_frame(
        incarnation=last.incarnation,
        producer_id=last.producer_id,
        epoch=last.epoch,
        sequence=last.sequence,
        previous_crc=decoded[0].envelope.previous_crc,
        flags=last.flags,
        declarations=current,
        notices=notices,
    )
    return frame_bytes, lost


def _rows(frame: Frame) -> list[tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    found = []
    for section in frame.samples:
        found += [
            (int(slot), section.timestamp_ns[section.slot == slot])
            for slot in np.unique(section.slot)
        ]
    found += [(section.slot, section.timestamp_ns) for section in frame.events]
    return found


def _is_ours(notice: Notice) -> bool:
    return notice.kind == "gap" and notice.facts.get("reason") == _REASON


def _add(losses: dict[str, _Loss], source: str, start_ns: int, end_ns: int, count: int) -> None:
    if source in losses:
        losses[source].add(start_ns, end_ns, count)
    else:
        losses[source] = _Loss(start_ns, end_ns, count)


def _notice(source: str, loss: _Loss) -> Notice:
    facts: dict[str, object] = {
        "source": source,
        "address": "",
        "start_ns": loss.start_ns,
        "end_ns": loss.end_ns,
        "count": loss.count,
        "reason": _REASON,
    }
    return Notice("gap", facts)
