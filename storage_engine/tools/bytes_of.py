"""Files as bytes for tools: what cannot be read is a finding, never a failure."""

from storage_engine.errors import DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.wal_record import Finding

_PIECE_BYTES = 4096


def read_file(fs: FileSystem, path: str, findings: list[Finding]) -> bytes:
    """Whole file; pieces that the medium refuses are named and read as zeros.

    Parameters
    ----------
    fs : FileSystem
    path : str
    findings : list of Finding
        Grows.

    Returns
    -------
    bytes
        Empty when there is no such file.
    """
    try:
        file = fs.open_read(path)
    except DiskError as error:
        findings.append(Finding(path, 0, str(error)))
        return b""
    try:
        size = file.size()
        try:
            return file.read_at(0, size)
        except DiskError:
            pieces = []
            for at in range(0, size, _PIECE_BYTES):
                want = min(_PIECE_BYTES, size - at)
                try:
                    pieces.append(file.read_at(at, want))
                except DiskError as error:
                    findings.append(Finding(path, at, str(error), want))
                    pieces.append(bytes(want))
            return b"".join(pieces)
    finally:
        file.close()


def read_piece(fs: FileSystem, path: str, offset: int, size: int) -> bytes:
    """Bytes of a file; fewer at its end.

    Raises
    ------
    DiskError
        When the medium refuses.
    """
    file = fs.open_read(path)
    try:
        return file.read_at(offset, size)
    finally:
        file.close()
