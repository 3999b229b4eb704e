"""A reader in memory that counts what is read of it."""

from query.testing import MemoryReader


class CountingReader(MemoryReader):
    """``rows`` by series: how many were given out since the start, or since ``reset``."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, int] = {}

    def reset(self) -> None:
        """Count anew."""
        self.rows = {}

    def read(self, series_id, *window, **more):
        """As it is, counted."""
        found = super().read(series_id, *window, **more)
        self.rows[series_id] = self.rows.get(series_id, 0) + len(found)
        return found
