"""Names and bytes of the spool on disk: identity, files of frames, what is good in a bad one."""

import json
import os
from dataclasses import dataclass

from storage_engine.errors import DataError, StorageError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.frame import decode_frame, split_frames

SPOOL_VERSION = 1
FRAMES = "frames"
DAMAGED = "damaged"
REFUSED = "refused"
LOCK = "lock"
_IDENTITY = "identity.json"
_SENT = "sent.json"
_ALIVE = "alive.json"
_ALIGN = 8
_MAGIC = b"LHF1"

Position = tuple[int, int]  # epoch, sequence


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this spool's frames come from, and of which start."""

    producer_id: bytes
    epoch: int


def file_name(first: Position) -> str:
    """Path of the file whose first frame this is; names sort like frames."""
    return f"{FRAMES}/{first[0]:020d}-{first[1]:020d}.frames"


def file_position(name: str) -> Position | None:
    """Epoch and first sequence of a file's name, None when it is no such file."""
    stem, _, suffix = name.partition(".")
    epoch, _, sequence = stem.partition("-")
    if suffix != "frames" or not (epoch.isdigit() and sequence.isdigit()):
        return None
    return int(epoch), int(sequence)


def replace_file(fs: FileSystem, path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = f"{path}.new"
    if fs.exists(new):
        fs.remove(new)
    file = fs.create(new)
    try:
        file.append(data)
        file.sync()
    finally:
        file.close()
    fs.rename(new, path)
    directory, _, _ = path.rpartition("/")
    fs.sync_directory(directory or ".")


def read_file(fs: FileSystem, path: str) -> bytes:
    """Read a whole file."""
    file = fs.open_read(path)
    try:
        return file.read_at(0, file.size())
    finally:
        file.close()


def next_identity(fs: FileSystem, newest_epoch: int) -> Identity:
    """Identity of this start: the spool's producer id, and an epoch above all before it.

    Parameters
    ----------
    fs : FileSystem
    newest_epoch : int
        Highest epoch among the frames that are left.

    Raises
    ------
    UnsupportedFormat
        If a newer release has laid this spool out.
    """
    producer_id, epoch = os.urandom(16), newest_epoch
    if fs.exists(_IDENTITY):
        try:
            held = json.loads(read_file(fs, _IDENTITY))
            version = int(held["version"])
            producer_id = bytes.fromhex(held["producer_id"])
            epoch = max(epoch, int(held["epoch"]))
            if version > SPOOL_VERSION:
                message = f"cannot open spool: got version {version}, want {SPOOL_VERSION} or older"
                raise UnsupportedFormat(f"{message}, at {_IDENTITY}", got=version)
        except (ValueError, KeyError, TypeError):
            # Unreadable: another producer from now on; the frames left name the old one themselves.
            producer_id = os.urandom(16)
    identity = Identity(producer_id, epoch + 1)
    held = {
        "version": SPOOL_VERSION,
        "producer_id": identity.producer_id.hex(),
        "epoch": identity.epoch,
    }
    replace_file(fs, _IDENTITY, json.dumps(held).encode())
    return identity


def read_sent(fs: FileSystem) -> Position:
    """Last frame known to be at the server; (0, 0) when unknown."""
    try:
        held = json.loads(read_file(fs, _SENT))
        return int(held["epoch"]), int(held["sequence"])
    except (StorageError, ValueError, KeyError, TypeError):
        return 0, 0


def write_sent(fs: FileSystem, position: Position) -> None:
    """Remember the last frame at the server; losing this only sends duplicates."""
    held = {"epoch": position[0], "sequence": position[1]}
    replace_file(fs, _SENT, json.dumps(held).encode())


def read_alive(fs: FileSystem) -> int | None:
    """When the collector of this spool last lived, in nanoseconds UTC; None when unknown."""
    try:
        return int(json.loads(read_file(fs, _ALIVE))["time_ns"])
    except (StorageError, ValueError, KeyError, TypeError):
        return None


def write_alive(fs: FileSystem, time_ns: int) -> None:
    """Remember that the collector lives; losing this loses how long it did not."""
    replace_file(fs, _ALIVE, json.dumps({"time_ns": time_ns}).encode())


def salvage(data: bytes) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Good frames of a file, and (offset, bytes) of what is between and behind them.

    Parameters
    ----------
    data : bytes
        A whole file.

    Notes
    -----
    A frame that follows damage is never given up: it is found by its magic, at a multiple of 8.
    """
    good: list[bytes] = []
    bad: list[tuple[int, bytes]] = []
    view = memoryview(data)
    at = damage = 0
    while at < len(data):
        frame = _frame_at(view, at)
        if frame is None:
            following = data.find(_MAGIC, at + 1)
            while following >= 0 and following % _ALIGN:
                following = data.find(_MAGIC, following + 1)
            at = len(data) if following < 0 else following
            continue
        if damage < at:
            bad.append((damage, data[damage:at]))
        good.append(frame)
        at += len(frame)
        damage = at
    if damage < at:
        bad.append((damage, data[damage:at]))
    return good, bad


def _frame_at(view: memoryview, at: int) -> bytes | None:
    try:
        piece = bytes(next(iter(split_frames(view[at:]))))
        decode_frame(piece)
    except (DataError, StorageError, StopIteration):
        return None
    return piece
