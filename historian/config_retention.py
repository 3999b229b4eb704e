"""Settings of retention: when the rules run and how much a run may delete."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """``[retention]``: when the rules run and how much they may delete at a time.

    Attributes
    ----------
    enabled : bool
        Whether the rules run by themselves; a run by hand is possible always.
    period_s : float
        Time between two runs.
    share : float
        Part of the bytes of a retention class that may go within a day of uptime; beyond it one day
        of its history, or one piece that is longer. Whatever the clock says.
    hold_margin_s : float
        Kept before and behind every visit of a held unit.
    reports_kept : int
        Reports of runs kept.
    """

    enabled: bool = True
    period_s: float = 3_600.0
    share: float = 0.05
    hold_margin_s: float = 60.0
    reports_kept: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"got share {self.share}, want 0 to 1")
        if self.period_s < 1:
            raise ValueError(f"got period_s {self.period_s}, want 1 or more")
        if self.reports_kept < 1:
            raise ValueError(f"got reports_kept {self.reports_kept}, want 1 or more")
