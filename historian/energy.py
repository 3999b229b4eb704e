"""Energy from the registers of meters: exact between reads, or null with a reason; never a guess.

How it is made and fed (the runtime's part)::

    energy = Energy(reader, config.meters)   # reader: historian.genealogy.reader.EventReader
    energy.rebuild()                         # at start, before ingest is open
    ingest.add_listener(energy.apply)        # (kind, batch, lsn), after durable, any thread

A register only rises, until it wraps at its declared modulus or a ``meter_declared`` event says
that it was reset or replaced. What neither explains makes the time between those two reads unknown,
and every window that holds it null. The state depends on the set of events alone.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from historian.errors import NotFound, RequestInvalid
from historian.genealogy.facts import PRODUCTION, FactStore
from historian.genealogy.reader import TIME_MAX_NS, TIME_MIN_NS, EventReader
from query.registers import KNOWN, REASONS, Declaration, Register, unroll
from storage_engine.sample import BoolArray, EventBatch, Int64Array

Float64Array = npt.NDArray[np.float64]

GAP_NS_MAX = 900 * 1_000_000_000
INTERVALS_MAX = 100_000
_KINDS = ("meter_read", "meter_declared")


class UnknownMeter(NotFound):
    """No meter of this id is declared, and no event names it."""

    def __init__(self, meter: str) -> None:
        message = f"cannot read meter: got {meter!r}, want a declared or reporting one, at energy"
        super().__init__(message, got=meter)


class Meter(Protocol):
    """What must be declared of a meter; ``historian.config`` fulfils it."""

    @property
    def id(self) -> str:
        """Name in ``meter_read`` events."""
        ...

    @property
    def eng_unit(self) -> str:
        """Unit of the register."""
        ...

    @property
    def modulus(self) -> float | None:
        """Value at which the register starts again at zero."""
        ...

    @property
    def rate_max_per_s(self) -> float | None:
        """Largest plausible rise per second."""
        ...

    @property
    def station(self) -> str:
        """Station that it supplies; empty for the line."""
        ...


@dataclass(frozen=True, slots=True)
class EnergyWindows:
    """Energy of one meter over many windows.

    Attributes
    ----------
    start_ns, end_ns : int64, shape (n,)
        Windows, half-open.
    energy : float64, shape (n,)
        In ``eng_unit``; NaN where not valid.
    valid : bool, shape (n,)
    estimated : bool, shape (n,)
        A bound lies between two reads and was interpolated.
    reason : uint8, shape (n,)
        Position in ``REASONS``; 0 where valid.
    """

    meter: str
    eng_unit: str
    start_ns: Int64Array
    end_ns: Int64Array
    energy: Float64Array
    valid: BoolArray
    estimated: BoolArray
    reason: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.start_ns)

    def reasons(self) -> list[str | None]:
        """Why each window is null; None where it is not."""
        return [REASONS[code] or None for code in self.reason.tolist()]


class Energy:
    """Energy per meter and window. Safe from any thread.

    Parameters
    ----------
    reader : EventReader
        Event streams by kind.
    meters : iterable of Meter
        Declared meters. One that only reports has no modulus, no rate and no station.
    gap_ns_max : int
        Bounds between reads further apart than this are not interpolated.
    modes : frozenset of str
        Modes of events that count.
    """

    def __init__(
        self,
        reader: EventReader,
        meters: Iterable[Meter],
        *,
        gap_ns_max: int = GAP_NS_MAX,
        modes: frozenset[str] = frozenset({PRODUCTION}),
    ) -> None:
        self._reader = reader
        self._meters = {meter.id: meter for meter in meters}
        self._gap_ns_max = gap_ns_max
        self._modes = modes
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._facts = FactStore(_KINDS, self._modes, self._touched)
        self._registers: dict[str, Register] = {}
        self._reported: set[int] = set()
        self._watermark_lsn = 0

    def _touched(self, ref: int, new: bool) -> None:
        code = self._facts.code(ref, "meter")
        if new:
            self._reported.add(code)
        self._registers.pop(self._facts.names.name(code) or "", None)

    @property
    def watermark_lsn(self) -> int:
        """Everything written up to this lsn is in the answers."""
        return self._watermark_lsn

    def rebuild(self) -> None:
        """Forget everything and derive it again from the streams."""
        with self._lock:
            self._clear()
            for kind in _KINDS:
                e = self._reader.read_events(kind, TIME_MIN_NS, TIME_MAX_NS)
                lsn = e.lsn.tolist()
                self._facts.add(kind, e.timestamp_ns, e.event_id, e.data, lsn)
                self._watermark_lsn = max(self._watermark_lsn, *lsn, 0)

    def apply(self, kind: str, batch: EventBatch, lsn: int) -> None:
        """Take events that just became durable; known ones change nothing."""
        with self._lock:
            if kind in _KINDS:
                data = dict(zip((c.name for c in batch.columns), batch.data, strict=True))
                lsns = [lsn] * len(batch)
                self._facts.add(kind, batch.timestamp_ns, batch.event_id, data, lsns)
            self._watermark_lsn = max(self._watermark_lsn, lsn)

    def meters(self) -> tuple[str, ...]:
        """Ids of declared and of reporting meters, by name."""
        with self._lock:
            names = (self._facts.names.name(code) for code in self._reported)
            return tuple(sorted(self._meters.keys() | {name for name in names if name}))

    def at_station(self, station: str) -> tuple[str, ...]:
        """Ids of the meters declared to supply a station, by name."""
        return tuple(sorted(m.id for m in self._meters.values() if m.station == station))

    def eng_unit(self, meter: str) -> str:
        """Unit of a meter's register; empty when the meter is not declared."""
        declared = self._meters.get(meter)
        return "" if declared is None else declared.eng_unit

    def register(self, meter: str) -> Register:
        """Give the unrolled register. Raises UnknownMeter."""
        with self._lock:
            known = self._registers.get(meter)
            if known is None:
                if meter not in self.meters():
                    raise UnknownMeter(meter)
                known = self._registers[meter] = self._unroll(meter)
            return known

    def _unroll(self, meter: str) -> Register:
        facts = self._facts
        declared = self._meters.get(meter)
        time_ns, (register,) = facts.reals("meter_read", ("register",), "meter", meter)
        return unroll(
            time_ns,
            register,
            self.declarations(meter),
            modulus=None if declared is None else declared.modulus,
            rate_max_per_s=None if declared is None else declared.rate_max_per_s,
        )

    def declarations(self, meter: str) -> list[Declaration]:
        """When a meter was reset or replaced, ascending; none of a meter nobody has heard of."""
        columns = ("old_register", "new_register")
        with self._lock:
            if not self._facts.names.find(meter):
                return []
            at_ns, (old, new) = self._facts.reals("meter_declared", columns, "meter", meter)
        return [
            Declaration(t, None if np.isnan(o) else o, None if np.isnan(n) else n)
            for t, o, n in zip(at_ns.tolist(), old.tolist(), new.tolist(), strict=True)
        ]

    def windows(self, meter: str, start_ns: npt.ArrayLike, end_ns: npt.ArrayLike) -> EnergyWindows:
        """Energy of a meter over many windows at once.

        Parameters
        ----------
        meter : str
        start_ns, end_ns : int64, shape (n,)
            Half-open windows, start <= end, in any order, overlapping or not.

        Raises
        ------
        UnknownMeter
        RequestInvalid
            When a window ends before it starts, or the shapes differ.
        """
        start = np.atleast_1d(np.asarray(start_ns, dtype=np.int64))
        end = np.atleast_1d(np.asarray(end_ns, dtype=np.int64))
        if start.shape != end.shape or start.ndim != 1 or bool((start > end).any()):
            message = f"cannot tell energy of {meter!r}: got windows of shapes {start.shape} and "
            raise RequestInvalid(message + f"{end.shape}, want start <= end for each, at windows")
        register = self.register(meter)
        energy, estimated, reason = register.windows(start, end, self._gap_ns_max)
        known = reason == KNOWN
        unit = self.eng_unit(meter)
        return EnergyWindows(meter, unit, start, end, energy, known, estimated, reason)

    def intervals(self, meter: str, start_ns: int, end_ns: int, interval_ns: int) -> EnergyWindows:
        """Energy per interval from ``start_ns``; the last one may be shorter.

        Raises
        ------
        UnknownMeter
        RequestInvalid
            For an empty window, an interval below 1 ns, or more than ``INTERVALS_MAX``.
        """
        count = -(-(end_ns - start_ns) // interval_ns) if interval_ns > 0 else 0
        if not 0 < count <= INTERVALS_MAX:
            message = f"cannot tell energy of {meter!r}: got {count} intervals, want 1 to "
            raise RequestInvalid(f"{message}{INTERVALS_MAX}, at interval", got=count)
        edges = np.minimum(start_ns + np.arange(count + 1, dtype=np.int64) * interval_ns, end_ns)
        return self.windows(meter, edges[:-1], edges[1:])
