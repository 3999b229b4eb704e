"""The tree of failures.

::

    StorageError
    |-- InvalidArgument        the call is wrong (also a ValueError): fix the call
    |-- DataError              the bytes are wrong
    |   |-- UnsupportedFormat  written by a newer version: upgrade
    |   |-- CorruptData        checksum or structure: set aside, serve the rest
    |   `-- TruncatedData      ends too early: wait for more, or a torn tail
    |-- LimitExceeded          a bound of the configuration: send less
    |-- EngineClosed           the engine is closed, or stopped after a failed fsync: reopen
    |-- StoreLocked            another process writes this store
    `-- DiskError              the medium refused
        `-- LowDisk            refused before the acknowledgement, because space is short: free some

Messages follow one grammar: *cannot do X: got A, want B, at P*. Facts are fields as well.
"""

from typing import Any


class StorageError(Exception):
    """Root of everything the engine raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: cannot do X: got A, want B, at P.
    **facts : object
        The same facts as fields (path, offset, stream_id, got, want ...).
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts


class InvalidArgument(StorageError, ValueError):  # noqa: N818 - the field's words
    """The call is wrong; nothing was changed."""


class DataError(StorageError):
    """The bytes are wrong."""


class UnsupportedFormat(DataError):  # noqa: N818
    """The bytes were written by a newer version than this one."""


class CorruptData(DataError):  # noqa: N818
    """A checksum or a structure does not hold."""


class TruncatedData(DataError):  # noqa: N818
    """The bytes end before what they announce."""


class LimitExceeded(StorageError):  # noqa: N818
    """A bound named in the configuration was reached."""


class EngineClosed(StorageError):  # noqa: N818
    """The engine is closed, or stopped for good after a failed fsync."""


class StoreLocked(StorageError):  # noqa: N818
    """Another process holds the store for writing."""


class DiskError(StorageError):
    """The medium refused a call."""


class LowDisk(DiskError):  # noqa: N818
    """Refused before the acknowledgement: free space is below the reserve."""
