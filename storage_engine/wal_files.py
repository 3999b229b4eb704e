"""The log's files on the medium: begun whole, recycled, dropped, damage copied."""

import errno
from typing import TYPE_CHECKING

from storage_engine.clock import Clock
from storage_engine.errors import DiskError
from storage_engine.filesystem import File, FileSystem
from storage_engine.wal_reader import LogFile
from storage_engine.wal_record import (
    DAMAGED,
    FILE_HEADER_BYTES,
    FLAG_RECYCLED,
    KIND_DURABLE,
    SPARE,
    FileHeader,
    Finding,
    Record,
    file_name,
    file_number,
    file_seed,
    pack_file_header,
    pack_record,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_COPY_BYTES = 1 << 20
_NEW = ".new"


def sweep(fs: FileSystem, directory: str) -> None:
    """Remove files that were never finished; they hold copies only.

    Without a log file the spare goes, too: numbers start again, and with them the seeds that tell
    its old content from new.
    """
    names = fs.list(directory)
    whole = any(file_number(name) is not None for name in names)
    for name in names:
        if name.endswith(_NEW) or (name == SPARE and not whole):
            fs.remove(f"{directory}/{name}")


class LogFiles:
    """Files of one log, oldest first; the newest is the one written.

    Parameters
    ----------
    fs, directory, clock
        Where they lie, and the time of their creation.
    file_bytes_max : int
        Size of a new file.
    files : list of LogFile
        As the replay found them.
    """

    def __init__(
        self,
        fs: FileSystem,
        directory: str,
        clock: Clock,
        file_bytes_max: int,
        files: list[LogFile],
    ) -> None:
        self._fs = fs
        self._directory = directory
        self._clock = clock
        self._file_bytes_max = file_bytes_max
        self._files = files
        self._begun = False

    @property
    def used_bytes(self) -> int:
        """Bytes that hold headers and records."""
        return sum(file.used_bytes for file in self._files)

    def used(self, size: int) -> None:
        """Note how far the file is written that was begun last."""
        if self._begun:
            self._files[-1].used_bytes = size

    def begin(
        self, copies: "Sequence[Record]", last_lsn: int, room: int = 0
    ) -> tuple[File, LogFile]:
        """Make the next file; it has its name only when header and copies in it are durable.

        Parameters
        ----------
        copies : sequence of Record
            What a replay found behind the last proof of durability, up to ``last_lsn``.
        last_lsn : int
            Newest lsn so far.
        room : int
            Bytes that are to fit behind the header, whatever the usual size.
        """
        number = self._files[-1].number + 1 if self._files else 1
        first_lsn = copies[0].lsn if copies else last_lsn + 1
        path = f"{self._directory}/{file_name(number)}"
        seed = file_seed(number)
        content = [pack_record(seed, r.lsn, r.kind, r.record_time_ns, (r.body,)) for r in copies]
        if copies:
            content.append(pack_record(seed, last_lsn, KIND_DURABLE, 0, ()))
        used = FILE_HEADER_BYTES + sum(map(len, content))
        file, flags = self._blank(path + _NEW, max(self._file_bytes_max, used + room))
        try:
            size = file.size()
            header = FileHeader(number, first_lsn, self._clock.now_ns(), flags, size)
            file.write_at(0, b"".join([pack_file_header(header), *content]))
            file.sync()
            self._fs.rename(path + _NEW, path)
            self._fs.sync_directory(self._directory)
        except DiskError:
            file.close()
            raise
        self._files.append(LogFile(path, number, first_lsn, used, size))
        self._begun = True
        return file, self._files[-1]

    def _blank(self, path: str, size: int) -> tuple[File, int]:
        """A file of a size: the spare one, or a new one filled with zeros."""
        if self._fs.exists(path):
            self._fs.remove(path)
        spare = f"{self._directory}/{SPARE}"
        if self._fs.exists(spare) and self._fs.size(spare) >= size:
            self._fs.rename(spare, path)
            return self._fs.open_write(path), FLAG_RECYCLED
        file = self._fs.create(path)
        try:
            file.preallocate(size)
        except DiskError:
            file.close()
            self._fs.remove(path)
            raise
        return file, 0

    def drop_before(self, lsn: int) -> int:
        """Remove the files whose records all are before ``lsn``; returns how many."""
        dropped = 0
        while len(self._files) > 1 and self._files[1].first_lsn <= lsn:
            self._drop(self._files[0])
            del self._files[0]
            dropped += 1
        if dropped:
            self._fs.sync_directory(self._directory)
        return dropped

    def drop_spare(self) -> None:
        """Remove the file kept for the next rotation: its old content may have to be gone."""
        spare = f"{self._directory}/{SPARE}"
        if self._fs.exists(spare):
            self._fs.remove(spare)
            self._fs.sync_directory(self._directory)

    @property
    def first_lsn(self) -> int:
        """Least lsn that a file may hold."""
        return self._files[0].first_lsn if self._files else 0

    def _drop(self, old: LogFile) -> None:
        spare = f"{self._directory}/{SPARE}"
        if old.size_bytes == self._file_bytes_max and not self._fs.exists(spare):
            self._fs.rename(old.path, spare)
        else:
            self._fs.remove(old.path)

    def trim(self) -> None:
        """Give back the zeros behind the last record of the file before the newest."""
        for old in self._files[:-1]:
            if old.blank_tail and old.size_bytes > old.used_bytes:
                file = self._fs.open_write(old.path)
                try:
                    file.truncate(old.used_bytes)
                finally:
                    file.close()
                old.size_bytes = old.used_bytes

    def set_aside(self, findings: "Sequence[Finding]") -> None:
        """Copy damaged bytes to ``damaged/``; the log files stay as they are."""
        places = [f for f in findings if f.size]
        if not places:
            return
        directory = f"{self._directory}/{DAMAGED}"
        self._fs.make_directories(directory)
        for place in places:
            name = place.path.rsplit("/", 1)[-1].removesuffix(".log")
            copy = f"{directory}/{name}-{place.offset}.bytes"
            if self._fs.exists(copy):
                if self._fs.size(copy) == place.size:
                    continue
                self._fs.remove(copy)
            self._copy(place, copy)
        self._fs.sync_directory(directory)

    def _copy(self, place: Finding, copy: str) -> None:
        source = self._fs.open_read(place.path)
        target = self._fs.create(copy)
        try:
            for at in range(place.offset, place.offset + place.size, _COPY_BYTES):
                want = min(_COPY_BYTES, place.offset + place.size - at)
                try:
                    target.append(source.read_at(at, want))
                except DiskError as error:
                    if error.facts.get("errno") != errno.EIO:
                        raise
                    break  # what cannot be read cannot be copied; the finding names it
            target.sync()
        finally:
            source.close()
            target.close()
