"""Files of frames, as a spool keeps them: sound frames, and the bytes between them."""

from dataclasses import dataclass, field

from storage_engine.errors import StorageError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.frame import Frame, decode_frame, peek_envelope, split_frames
from storage_engine.frame_layout import ALIGN, MAGIC
from storage_engine.tools.bytes_of import read_file
from storage_engine.wal_record import Finding


@dataclass(frozen=True, slots=True)
class FramePlace:
    """A sound frame: where it begins and ends."""

    offset: int
    end: int


@dataclass(slots=True)
class FramePieces:
    """A file of frames as found; ``holes`` are (offset, end, why)."""

    path: str
    data: bytes = b""
    frames: list[FramePlace] = field(default_factory=list)
    holes: list[tuple[int, int, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    newer: bool = False

    def frame(self, place: FramePlace) -> Frame:
        """Decode a frame again."""
        return decode_frame(self.data[place.offset : place.end])


def open_frames(fs: FileSystem, path: str) -> FramePieces:
    """Read a file of frames and cut it.

    Parameters
    ----------
    fs : FileSystem
    path : str

    Returns
    -------
    FramePieces
    """
    found = FramePieces(path)
    found.data = data = read_file(fs, path, found.findings)
    view = memoryview(data)
    at = bad = 0
    why = ""
    while at < len(data):
        try:
            piece = next(iter(split_frames(view[at:])))
            decode_frame(piece)
        except StorageError as error:
            found.newer |= isinstance(error, UnsupportedFormat)
            why = why or str(error)
            at = _next_frame(data, at)
            continue
        if bad < at:
            found.holes.append((bad, at, why))
        found.frames.append(FramePlace(at, at + len(piece)))
        at = bad = at + len(piece)
        why = ""
    if bad < at:
        found.holes.append((bad, at, why))
    return found


def _next_frame(data: bytes, at: int) -> int:
    at = data.find(MAGIC, at + 1)
    while at >= 0 and at % ALIGN:
        at = data.find(MAGIC, at + 1)
    return len(data) if at < 0 else at


def check_frames(found: FramePieces) -> tuple[list[Finding], list[str]]:
    """Name what is no frame, and what the numbers of the frames say.

    Parameters
    ----------
    found : FramePieces

    Returns
    -------
    findings : list of Finding
    notes : list of str
        Zeros at the end, holes in the sequence: losses that were told already, or never promised.
    """
    findings, notes = list(found.findings), []
    if not found.data:
        notes.append(f"{found.path}: empty")
    for offset, end, why in found.holes:
        if any(found.data[offset:end]) or end < len(found.data):
            findings.append(Finding(found.path, offset, why or "no frame", end - offset))
        else:
            notes.append(f"{found.path}: {end - offset} zeros at the end, never written")
    before: dict[bytes, tuple[int, int]] = {}
    for place in found.frames:
        envelope = peek_envelope(found.data[place.offset : place.end])
        position = (envelope.epoch, envelope.sequence)
        last = before.get(envelope.producer_id)
        if envelope.sequence == 0:
            continue  # slots declared again, as a spool keeps them: such frames have no order
        if last is not None and position <= last:
            what = f"frame {position} stands behind {last}"
            findings.append(Finding(found.path, place.offset, what))
        elif last is not None and position[0] == last[0] and position[1] > last[1] + 1:
            notes.append(f"{found.path}: frames {last[1] + 1} to {position[1] - 1} are not here")
        before[envelope.producer_id] = position
    return findings, notes
