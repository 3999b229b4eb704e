"""Which segments are live, and which files somebody still needs.

A file may be removed only when no generation on disk names it, no reader holds a set that names
it, and no writer is at work on it.
"""

import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence

from storage_engine.segment.layout import SegmentInfo


class SegmentSet(Sequence[SegmentInfo]):
    """Live segments at one moment; their files stay as long as somebody holds the set.

    Parameters
    ----------
    infos : iterable of SegmentInfo
    """

    __slots__ = ("__weakref__", "ids", "infos")

    def __init__(self, infos: Iterable[SegmentInfo] = ()) -> None:
        self.infos = tuple(infos)
        self.ids = frozenset(info.id for info in self.infos)

    def __len__(self) -> int:
        return len(self.infos)

    def __iter__(self) -> Iterator[SegmentInfo]:
        return iter(self.infos)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        return self.infos[place]


class LiveSegments:
    """The current set, the older ones still held, and the ids being written.

    Parameters
    ----------
    next_id : int
        First id never used.
    """

    def __init__(self, next_id: int = 1) -> None:
        self._lock = threading.Lock()
        self._sets: weakref.WeakSet[SegmentSet] = weakref.WeakSet()
        self._writing: set[int] = set()
        self._current = SegmentSet()
        self.next_id = next_id

    @property
    def current(self) -> SegmentSet:
        """The set that reads begin with now."""
        return self._current

    def use(self, infos: Iterable[SegmentInfo]) -> None:
        """Make these the live segments; readers go on with the set they hold."""
        fresh = SegmentSet(infos)
        with self._lock:
            self._sets.add(fresh)
            self._current = fresh
            self.next_id = max([self.next_id, *(i + 1 for i in fresh.ids)])

    def allocate(self) -> int:
        """Id of a segment about to be written; its file is safe until :meth:`release`."""
        with self._lock:
            number = self.next_id
            self.next_id += 1
            self._writing.add(number)
            return number

    def release(self, ids: Collection[int]) -> None:
        """These were committed, or given up and removed."""
        with self._lock:
            self._writing.difference_update(ids)

    def held(self, segment_id: int) -> bool:
        """Whether a set that somebody holds names it, or a writer is at work on it."""
        with self._lock:
            if segment_id in self._writing:
                return True
            return any(segment_id in held.ids for held in self._sets)
