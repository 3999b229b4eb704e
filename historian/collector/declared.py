"""Slots as they were declared, kept beside the frames: another store must hear them again.

A frame that declared a slot leaves the spool once the server has it. Should that server be lost and
restored from before, the frames left would speak of slots that nobody there knows.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from historian.collector.spool_files import Identity, read_file, salvage
from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.frame import ZERO_ID, Declaration, decode_frame, encode_frame

DECLARED = "declared"
_SUFFIX = ".frames"


class Declared:
    """Files of declarations, one per epoch. Not safe from several threads.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the spool's directory.
    """

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._slots: dict[int, dict[int, Declaration]] = {}
        for name in fs.list(DECLARED):
            stem, _, suffix = name.partition(".")
            if stem.isdigit() and f".{suffix}" == _SUFFIX:
                good, _ = salvage(read_file(fs, f"{DECLARED}/{name}"))
                held = self._slots.setdefault(int(stem), {})
                for frame in good:
                    held |= {one.slot: one for one in decode_frame(frame).declarations}

    def of(self, epoch: int) -> Mapping[int, Declaration]:
        """Slots of an epoch."""
        return self._slots.get(epoch, {})

    def add(self, identity: Identity, declarations: Sequence[Declaration]) -> None:
        """Keep declarations of an epoch; on stable storage on return.

        Raises
        ------
        DiskError
        """
        held = self._slots.setdefault(identity.epoch, {})
        fresh = [one for one in declarations if held.get(one.slot) != one]
        if not fresh:
            return
        frame = encode_frame(
            incarnation=ZERO_ID,
            producer_id=identity.producer_id,
            epoch=identity.epoch,
            sequence=0,
            previous_crc=0,
            flags=0,
            declarations=fresh,
            samples=(),
            events=(),
            notices=(),
        )
        path = self._path(identity.epoch)
        new = not self._fs.exists(path)
        if new:
            self._fs.make_directories(DECLARED)
        file = self._fs.create(path) if new else self._fs.open_write(path)
        try:
            file.append(frame)
            file.sync()
        finally:
            file.close()
        if new:
            self._fs.sync_directory(DECLARED)
        held |= {one.slot: one for one in fresh}

    def keep_only(self, epochs: AbstractSet[int]) -> None:
        """Forget epochs of which no frame is left; a file that stays costs space only."""
        for epoch in [epoch for epoch in self._slots if epoch not in epochs]:
            del self._slots[epoch]
            try:
                self._fs.remove(self._path(epoch))
            except DiskError:
                continue

    @staticmethod
    def _path(epoch: int) -> str:
        return f"{DECLARED}/{epoch:020d}{_SUFFIX}"
