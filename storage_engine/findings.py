"""What was found damaged: named once, bounded, never raised at open."""

import threading

from storage_engine.wal_record import Finding


class Findings:
    """Findings in order of discovery, each once.

    Parameters
    ----------
    count_max : int
        Kept at most; ``omitted`` counts the rest.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._lock = threading.Lock()
        self._found: dict[Finding, None] = {}
        self.omitted = 0

    def add(self, path: str, offset: int, what: str) -> None:
        """Name damage."""
        finding = Finding(path, offset, what)
        with self._lock:
            if finding in self._found:
                return
            if len(self._found) >= self._count_max:
                self.omitted += 1
                return
            self._found[finding] = None

    def list(self) -> list[Finding]:
        """All of them."""
        with self._lock:
            return list(self._found)
