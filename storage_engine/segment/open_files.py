"""Segment files kept open for reads, up to a bound; many threads read at once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from storage_engine.filesystem import File, FileSystem


@dataclass(slots=True)
class _Entry:
    file: File
    users: int = 0
    leaving: bool = False


class OpenFiles:
    """Files by segment id, least recently used closed first, never below a reader.

    Parameters
    ----------
    fs : FileSystem
    files_max : int
        Kept open; readers at work may hold a few more.
    """

    def __init__(self, fs: FileSystem, files_max: int) -> None:
        self._fs = fs
        self._files_max = files_max
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, segment_id: int, path: str, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes at an offset; fewer only at the end of the file.

        Raises
        ------
        DiskError
        """
        with self._lock:
            entry = self._entries.get(segment_id)
            if entry is None:
                entry = self._entries[segment_id] = _Entry(self._fs.open_read(path))
            self._entries.move_to_end(segment_id)
            entry.users += 1
            closing = self._beyond()
        _close(closing)
        try:
            return entry.file.read_at(offset, size)
        finally:
            with self._lock:
                entry.users -= 1
                last = entry.leaving and entry.users == 0
            if last:
                entry.file.close()

    def _beyond(self) -> list[File]:
        """Take out what is above the bound; give the files that nobody reads now."""
        closing = []
        while len(self._entries) > self._files_max:
            closing += self._take_out(next(iter(self._entries)))
        return closing

    def _take_out(self, segment_id: int) -> list[File]:
        entry = self._entries.pop(segment_id)
        entry.leaving = True
        return [entry.file] if entry.users == 0 else []

    def retain(self, wanted: Callable[[int], bool]) -> None:
        """Close the files of segments that are not wanted, so that their space is given back."""
        with self._lock:
            known = list(self._entries)
        gone = [segment_id for segment_id in known if not wanted(segment_id)]
        closing: list[File] = []
        with self._lock:
            for segment_id in gone:
                if segment_id in self._entries:
                    closing += self._take_out(segment_id)
        _close(closing)

    def close(self) -> None:
        """Close all; a reader at work closes its own when it is done."""
        self.retain(lambda segment_id: False)


def _close(files: list[File]) -> None:
    for file in files:
        file.close()
