"""The side of the engine that makes erased rows physically gone, and says what still holds them."""

from dataclasses import dataclass

from storage_engine.compaction import Erasures
from storage_engine.engine_compaction import CompactionSide
from storage_engine.errors import DataError
from storage_engine.merging import Pace
from storage_engine.segment.layout import DIRECTORY, segment_number
from storage_engine.tombstones import Tombstone

_DONE = "erased_lsn"
_FINDINGS = "findings.json"


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erased range that may still lie on disk.

    Attributes
    ----------
    tombstone : Tombstone
    waits_for : tuple of str
        Files or parts of the store that may hold its rows; empty once they are known to be gone.
    """

    tombstone: Tombstone
    waits_for: tuple[str, ...]


class ErasureSide(CompactionSide):
    """Erasure as a promise that is kept and can be looked at."""

    def erasures(self) -> tuple[Erasure, ...]:
        """Erased ranges not known to be physically gone, and what may still hold their rows.

        Raises
        ------
        EngineClosed
        """
        self._check_open("list erasures")
        done = self._erased_lsn()
        with self._lock:
            self._drain()
            segments, tombstones = self._state.segments, self._state.tombstones
        waiting = [one for one in tombstones if one.erase and one.lsn > done]
        if not waiting:
            return ()
        old = tuple(path for path, number in self._files() if number not in segments.ids)
        first = 0 if self._wal is None else self._wal.first_lsn
        erased = Erasures(tombstones)
        held = {info.path: self._erasures_in(info, erased) for info in segments}
        found = []
        for stone in sorted(waiting, key=lambda one: one.lsn):
            holds = [path for path, lsns in held.items() if stone.lsn in lsns]
            log = ["wal"] if first <= stone.lsn else []
            found.append(Erasure(stone, (*holds, *old, *log, *self._damaged_files())))
        return tuple(found)

    def finish_erasures(self, pace: Pace) -> tuple[Erasure, ...]:
        """Write covered segments anew, cut the log, and remove what only old generations name.

        Parameters
        ----------
        pace : callable
            As for :meth:`compact`.

        Returns
        -------
        tuple of Erasure
            What could not be finished: a damaged segment, a reader that holds old files, a log
            held by a backup. Call again later.

        Raises
        ------
        InvalidArgument, EngineClosed, DiskError, CorruptData
            As for :meth:`compact`; it can be tried again.
        """
        if not self.erasures():
            return ()
        self._check_writable("finish erasures")
        assert self._wal is not None, "checked before"
        self._flusher.flush(self._wal)
        self.compact(pace)
        with self._upkeep_lock:
            self._flusher.forget(self._wal)
        self._reader.retain(self._state.live.held)
        with self._lock:  # before the look: an erasure that comes meanwhile is not finished
            erased = [one.lsn for one in self._state.tombstones if one.erase]
        left = self.erasures()
        waiting = [one.tombstone.lsn for one in left if one.waits_for]
        done = max((lsn for lsn in erased if lsn < min(waiting, default=2**63)), default=0)
        if done > self._erased_lsn():
            with self._upkeep_lock:
                self._flusher.replace((), (), facts={_DONE: done})
        return tuple(one for one in left if one.tombstone.lsn > done)

    def _erased_lsn(self) -> int:
        done = self._flusher.facts.get(_DONE, 0)
        if not isinstance(done, int):
            raise DataError(f"cannot read facts: got {_DONE} {done!r}, want a number")
        return done

    def _damaged_files(self) -> list[str]:
        """Copies of damaged bytes: nobody knows what they hold, and only a person removes them."""

        def below(directory: str) -> list[str]:
            paths = [f"{directory}/{n}" for n in self._fs.list(directory) if n != _FINDINGS]
            files = [path for path in paths if _is_file(path)]
            return files + [inner for path in paths if path not in files for inner in below(path)]

        return below("damaged") + below("wal/damaged")

    def _files(self) -> list[tuple[str, int]]:
        found = []
        for partition in self._fs.list(DIRECTORY):
            for name in self._fs.list(f"{DIRECTORY}/{partition}"):
                number = segment_number(name)
                if number is not None and not name.endswith(".new"):
                    found.append((f"{DIRECTORY}/{partition}/{name}", number))
        return found


def _is_file(path: str) -> bool:
    """Whether a name below ``damaged`` is that of a file: a generation, or one with an ending."""
    name = path.rpartition("/")[2]
    return "." in name or len(name) == 16
