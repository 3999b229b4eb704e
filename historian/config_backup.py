"""Settings of backups: where they lie, how fast they are made, and when."""

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """``[backup]``: the repository, and backups made by themselves.

    Attributes
    ----------
    directory : Path
        Repository of backups; best on another disk. Unset: ``backups`` in the store's folder.
    bytes_per_s : int
        Read from the store while a backup is made, at most; 0: as fast as the disk.
    every_h : float
        Hours between backups that the server makes by itself; 0: none.
    full_every : int
        One in so many backups is a full one, a second copy of everything; the others share files
        with the one before. 1: every backup is full.
    keep : int
        Backups kept after one that the server made by itself; older ones are removed. 0: all.
    """

    directory: Path = Path("data/backups")
    bytes_per_s: int = 64 * MIB
    every_h: float = 0.0
    full_every: int = 7
    keep: int = 0

    def __post_init__(self) -> None:
        for name in ("bytes_per_s", "every_h", "keep"):
            if getattr(self, name) < 0:
                raise ValueError(f"got {name} {getattr(self, name)}, want 0 or more")
        if self.full_every < 1:
            raise ValueError(f"got full_every {self.full_every}, want 1 or more")
