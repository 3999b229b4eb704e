"""Settings of import and export."""

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class TransferConfig:
    """``[transfer]``: import and export.

    Attributes
    ----------
    path : Path
        Folder below which the server reads and writes files for import and export, and where
        refused rows are listed. Unset: ``transfer`` in the store's folder.
    commit_bytes : int
        Rows that an import holds in memory and commits at once; sorting takes as much again.
    rows_per_piece : int
        Rows of one file of an export, about.
    jobs_kept_max : int
        Jobs of the server that are remembered when they have ended.
    """

    path: Path = Path("data/transfer")
    commit_bytes: int = 64 * MIB
    rows_per_piece: int = 2_097_152
    jobs_kept_max: int = 100
