"""segment/open_files.py: bounded, never closed below a reader, given back when segments go."""

import threading

from storage_engine.recording import RecordingFile, RecordingFileSystem
from storage_engine.segment.open_files import OpenFiles


class Watched(RecordingFileSystem):
    """Remembers which files are open, and can hold a read up."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.wait = None
        self.reading = threading.Event()

    def open_read(self, path):
        file = WatchedFile(self, self._inode("open", path), path)
        self.open.append(path)
        return file


class WatchedFile(RecordingFile):
    def read_at(self, offset, size):
        if self._owner.wait is not None:
            self._owner.reading.set()
            assert self._owner.wait.wait(10)
        assert self._path in self._owner.open, "read of a closed file"
        return super().read_at(offset, size)

    def close(self):
        self._owner.open.remove(self._path)


def filled(count):
    """A file system with files 0.. and the ids of them."""
    fs = Watched()
    for number in range(count):
        fs.create(str(number)).append(bytes([number]) * 10)
    return fs


def test_the_least_recently_read_is_closed_first():
    """The bound holds after every read."""
    fs = filled(4)
    files = OpenFiles(fs, 2)

    for number in (0, 1, 0, 2, 3):
        assert bytes([number]) * 3 == files.read(number, str(number), 1, 3)

    assert ["2", "3"] == fs.open
    files.close()
    assert [] == fs.open


def test_a_file_that_goes_while_it_is_read_is_closed_by_its_last_reader():
    """Neither an error for the reader nor a descriptor for ever."""
    fs = filled(1)
    fs.wait = threading.Event()
    files = OpenFiles(fs, 2)
    found = []
    reader = threading.Thread(target=lambda: found.append(files.read(0, "0", 0, 10)))
    reader.start()
    assert fs.reading.wait(10)

    files.retain(lambda segment_id: False)
    assert ["0"] == fs.open
    fs.wait.set()
    reader.join(10)

    assert [bytes(10)] == found
    assert [] == fs.open


def test_wanted_files_stay_open():
    """Only what is gone gives its space back."""
    fs = filled(3)
    files = OpenFiles(fs, 5)
    for number in range(3):
        files.read(number, str(number), 0, 1)

    files.retain(lambda segment_id: segment_id == 1)

    assert ["1"] == fs.open
