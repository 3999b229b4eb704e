"""What connectors keep over restarts, beside the spool: one small file per source and key."""

import logging
from urllib.parse import quote

from historian.collector.spool_files import read_file, replace_file
from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem

NOTES = "notes"

_log = logging.getLogger(__name__)


class Notes:
    """Notes of a collector's sources.

    Parameters
    ----------
    fs : FileSystem
        Of the spool.
    """

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs

    def keep(self, source: str, key: str, note: bytes) -> None:
        """Replace a note, durably; a disk that refuses is logged."""
        try:
            self._fs.make_directories(NOTES)
            replace_file(self._fs, _path(source, key), note)
        except DiskError as error:
            _log.warning("cannot keep note %s of source %s: %s", key, source, error)

    def kept(self, source: str, key: str) -> bytes:
        """Note under a key; empty when there is none or it cannot be read."""
        path = _path(source, key)
        try:
            return read_file(self._fs, path) if self._fs.exists(path) else b""
        except DiskError as error:
            _log.warning("cannot read note %s of source %s: %s", key, source, error)
            return b""


def _path(source: str, key: str) -> str:
    return f"{NOTES}/{quote(source, safe='')}.{quote(key, safe='')}"
