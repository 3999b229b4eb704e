"""What kind of file lies there: by its magic, else by its name."""

import enum
import re

from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.frame_layout import MAGIC as FRAME_MAGIC
from storage_engine.manifest import MAGIC as MANIFEST_MAGIC
from storage_engine.segment.layout import EDGE_BYTES, HEADER_MAGIC, TRAILER_MAGIC
from storage_engine.tools.bytes_of import read_piece
from storage_engine.wal_record import FILE_MAGIC, SPARE

_MAGICS: tuple[tuple[bytes, "Kind"], ...]
_HEX = re.compile(r"[0-9a-f]{16}")
_LOG = re.compile(r"\d{16}\.log")


class Kind(enum.StrEnum):
    """Kinds of files that the tools know."""

    SEGMENT = "segment"
    MANIFEST = "manifest"
    LOG = "log"
    FRAMES = "frames"
    JSON = "json"
    UNKNOWN = "unknown"


_MAGICS = (
    (HEADER_MAGIC, Kind.SEGMENT),
    (MANIFEST_MAGIC, Kind.MANIFEST),
    (FILE_MAGIC, Kind.LOG),
    (FRAME_MAGIC, Kind.FRAMES),
)


def kind_by_name(path: str) -> Kind:
    """Kind that a name promises.

    Parameters
    ----------
    path : str

    Returns
    -------
    Kind
    """
    name = path.rsplit("/", 1)[-1].removesuffix(".new")
    if name.endswith(".segment"):
        return Kind.SEGMENT
    if _LOG.fullmatch(name) or name == SPARE:
        return Kind.LOG
    if _HEX.fullmatch(name):
        return Kind.MANIFEST
    if name.endswith((".frames", ".frame")):
        return Kind.FRAMES
    return Kind.JSON if name.endswith(".json") else Kind.UNKNOWN


def kind_of(fs: FileSystem, path: str) -> Kind:
    """Kind of a file: its magic decides; where that is damaged, its name or its end.

    Parameters
    ----------
    fs : FileSystem
    path : str

    Returns
    -------
    Kind

    Notes
    -----
    A name that promises a kind is believed against another magic: a file under a wrong name is
    damage, and its check says so.
    """
    named = kind_by_name(path)
    if named is not Kind.UNKNOWN:
        return named
    try:
        head = read_piece(fs, path, 0, 8)
        end = read_piece(fs, path, max(fs.size(path) - EDGE_BYTES, 0), 8)
    except DiskError:
        return Kind.UNKNOWN
    found = next((kind for magic, kind in _MAGICS if head.startswith(magic)), None)
    if found is None and end == TRAILER_MAGIC:
        return Kind.SEGMENT
    return found or Kind.UNKNOWN


def magic_kind(data: bytes) -> Kind:
    """Kind that the first bytes tell.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    Kind
    """
    return next((kind for magic, kind in _MAGICS if data.startswith(magic)), Kind.UNKNOWN)
