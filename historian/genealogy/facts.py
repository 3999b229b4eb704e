"""The facts that everything is derived from: events in memory as columns, each key once.

What is held depends on the set of events alone, never on their order or repetition: of two events
with one key (kind, time, id) the one with the lower lsn counts, as in the engine.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from historian.events import EVENT_KINDS
from storage_engine.sample import ColumnData, Int64Array, ValueType

Float64Array = npt.NDArray[np.float64]

_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1
_INT_NULL = -(2**63)
_TYPECODE = {
    ValueType.FLOAT64: "d",
    ValueType.INT64: "q",
    ValueType.SYMBOL: "i",
    ValueType.TEXT: "i",
}
PRODUCTION = "production"


class Names:
    """Strings as dense integers; 0 is null."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._names: list[str | None] = [None]

    def code(self, name: object) -> int:
        """Give the code of a name, a new one if needed; an empty string is null."""
        if name is None or name == "":
            return 0
        text = str(name)
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._names)
            self._names.append(text)
        return code

    def find(self, name: str) -> int:
        """Give the code of a known name, else 0."""
        return self._codes.get(name, 0)

    def name(self, code: int) -> str | None:
        """Give the name of a code."""
        return self._names[code]


class _Table:
    """Events of one kind as columns of machine numbers."""

    __slots__ = ("columns", "ids", "kind", "lsn", "time_ns", "types")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.time_ns = array("q")
        self.lsn = array("q")
        self.ids: list[bytes] = []
        self.types = {c.name: c.type for c in EVENT_KINDS[kind] if c.name != "voids"}
        self.columns: dict[str, array[int] | array[float]] = {
            name: array(_TYPECODE[type_]) for name, type_ in self.types.items()
        }

    def put(
        self, row: int, time_ns: int, event_id: bytes, lsn: int, values: Sequence[float]
    ) -> None:
        """Append (row at the end) or overwrite."""
        if row == len(self.time_ns):
            self.time_ns.append(time_ns)
            self.ids.append(event_id)
            self.lsn.append(lsn)
            for column, value in zip(self.columns.values(), values, strict=True):
                column.append(value)  # type: ignore[arg-type]
            return
        self.lsn[row] = lsn
        for column, value in zip(self.columns.values(), values, strict=True):
            column[row] = value  # type: ignore[call-overload]


class FactStore:
    """Events of the given kinds, each key once, with the voids among them.

    Parameters
    ----------
    kinds : sequence of str
        Kinds to hold; a fact's number is (position here << 40) + row.
    modes : frozenset of str
        Modes that count; a null mode is ``production``.
    touched : callable(ref, new)
        Told of each fact that came, went or changed its standing. ``new`` is True when the fact
        is to be indexed.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        modes: frozenset[str],
        touched: Callable[[int, bool], None],
    ) -> None:
        self.names = Names()
        self.kinds = tuple(kinds)
        self.number = {kind: i for i, kind in enumerate(kinds)}
        self._tables = [_Table(kind) for kind in kinds]
        self._modes = modes
        self._touched = touched
        self._refs: dict[bytes, int | tuple[int, ...]] = {}
        self._voids: dict[int, bytes] = {}  # ref of the voiding event -> id that it voids
        self._targets: dict[bytes, int] = {}  # id -> how many events void it
        self._voided: dict[int, bool] | None = {}  # ref -> voided; None: to be worked out

    def __len__(self) -> int:
        return sum(len(t.ids) for t in self._tables)

    def add(
        self,
        kind: str,
        timestamp_ns: Int64Array,
        event_id: npt.NDArray[np.void],
        data: dict[str, ColumnData],
        lsn: Sequence[int],
    ) -> None:
        """Take events of one kind; known keys change nothing.

        Parameters
        ----------
        kind : str
            One of ``kinds``.
        timestamp_ns : int64, shape (n,)
        event_id : V16, shape (n,)
        data : dict of ColumnData, n rows each
            Columns by name; one that is missing is null.
        lsn : sequence of int, length n
        """
        number = self.number[kind]
        table = self._tables[number]
        columns = [self._numbers(t, data.get(n), len(lsn)) for n, t in table.types.items()]
        voids = data["voids"].objects() if "voids" in data else [None] * len(lsn)
        ids = np.ascontiguousarray(event_id).tobytes()
        times = timestamp_ns.tolist()
        for i, values in enumerate(zip(*columns, strict=True)):
            key = ids[16 * i : 16 * i + 16]
            ref = self._find(number, times[i], key)
            if ref is None:
                row = len(table.ids)
                ref = (number << _ROW_BITS) + row
                self._remember(key, ref)
            else:
                row = ref & _ROW_MASK
                if table.lsn[row] <= lsn[i]:
                    continue
                self._touched(ref, False)
                self._set_void(ref, None)
            table.put(row, times[i], key, lsn[i], values)
            self._set_void(ref, _event_id(voids[i]))
            self._touched(ref, True)

    def _numbers(self, type_: ValueType, data: ColumnData | None, rows: int) -> list[float]:
        """Column as machine numbers: codes of names, NaN and the least integer for null."""
        if type_ is ValueType.FLOAT64:
            null: float = np.nan
        else:
            null = _INT_NULL if type_ is ValueType.INT64 else 0
        if data is None:
            return [null] * rows
        objects = data.objects()
        if type_ is ValueType.FLOAT64:
            return [null if v is None else float(v) for v in objects]  # type: ignore[arg-type]
        if type_ is ValueType.INT64:
            return [null if v is None else int(v) for v in objects]  # type: ignore[call-overload]
        code = self.names.code
        return [code(v) for v in objects]

    def _find(self, number: int, time_ns: int, key: bytes) -> int | None:
        for ref in self.refs(key):
            if ref >> _ROW_BITS == number and self.time_ns(ref) == time_ns:
                return ref
        return None

    def _remember(self, key: bytes, ref: int) -> None:
        known = self.refs(key)
        self._refs[key] = (*known, ref) if known else ref
        if key in self._targets:
            self._voided = None

    def refs(self, event_id: bytes) -> tuple[int, ...]:
        """Facts with this id: one, unless a source used an id twice."""
        found = self._refs.get(event_id, ())
        return (found,) if isinstance(found, int) else found

    # -- reading -------------------------------------------------------------------------------

    def time_ns(self, ref: int) -> int:
        """Event time."""
        return self._tables[ref >> _ROW_BITS].time_ns[ref & _ROW_MASK]

    def event_id(self, ref: int) -> bytes:
        """Event id, 16 bytes."""
        return self._tables[ref >> _ROW_BITS].ids[ref & _ROW_MASK]

    def kind_number(self, ref: int) -> int:
        """Position of the fact's kind in ``kinds``."""
        return ref >> _ROW_BITS

    def code(self, ref: int, column: str) -> int:
        """Code of a name in a column; 0 where null."""
        return int(self._tables[ref >> _ROW_BITS].columns[column][ref & _ROW_MASK])

    def text(self, ref: int, column: str) -> str | None:
        """Name in a column."""
        return self.names.name(self.code(ref, column))

    def integer(self, ref: int, column: str) -> int | None:
        """Integer in a column."""
        value = int(self._tables[ref >> _ROW_BITS].columns[column][ref & _ROW_MASK])
        return None if value == _INT_NULL else value

    def real(self, ref: int, column: str) -> float | None:
        """Float in a column; NaN is null."""
        value = self._tables[ref >> _ROW_BITS].columns[column][ref & _ROW_MASK]
        return None if value != value else float(value)  # noqa: PLR0124 - NaN only

    def holds(self, ref: int) -> bool:
        """Whether a fact counts: its mode is wanted and no event that holds voids it."""
        if self._voided is None:
            self._voided = self._work_out_voids()
        return self._mode_counts(ref) and not self._voided.get(ref, False)

    def holding(self, refs: Sequence[int] | set[int]) -> Iterator[int]:
        """Give those of the facts that count."""
        return (ref for ref in refs if self.holds(ref))

    def reals(
        self, kind: str, columns: Sequence[str], name: str, value: str
    ) -> tuple[Int64Array, list[Float64Array]]:
        """Times and floats of all facts of a kind that hold and bear a name; NaN where null.

        Parameters
        ----------
        kind : str
        columns : sequence of str
            Float columns wanted.
        name, value : str
            Column of names, and the name wanted in it.

        Returns
        -------
        int64 and float64s, shape (n,)
            Ascending in time, then by the columns.
        """
        number = self.number[kind]
        table = self._tables[number]
        modes = {self.names.find(mode) for mode in self._modes}
        modes |= {0} if PRODUCTION in self._modes else set()
        mode = np.array(table.columns["mode"], dtype=np.int64)
        wanted = np.array(table.columns[name], dtype=np.int64) == self.names.find(value)
        chosen = np.flatnonzero(wanted & np.isin(mode, list(modes)))
        if self._targets:
            base = number << _ROW_BITS
            chosen = np.array([r for r in chosen.tolist() if self.holds(base + r)], dtype=np.int64)
        time_ns = np.array(table.time_ns, dtype=np.int64)[chosen]
        reals = [np.array(table.columns[c], dtype=np.float64)[chosen] for c in columns]
        order = np.lexsort((*reversed(reals), time_ns))
        return time_ns[order], [real[order] for real in reals]

    def _mode_counts(self, ref: int) -> bool:
        return (self.text(ref, "mode") or PRODUCTION) in self._modes

    # -- voids ---------------------------------------------------------------------------------

    def _set_void(self, ref: int, target: bytes | None) -> None:
        old = self._voids.pop(ref, None)
        if target is not None:
            self._voids[ref] = target
            self._targets[target] = self._targets.get(target, 0) + 1
        if old is None and target is None:
            return
        if old is not None:
            self._targets[old] -= 1
        self._voided = None
        seen: set[bytes] = set()
        todo = [t for t in (old, target) if t is not None]
        while todo:
            event_id = todo.pop()
            if event_id in seen:
                continue
            seen.add(event_id)
            for voided in self.refs(event_id):
                self._touched(voided, False)
                if voided in self._voids:
                    todo.append(self._voids[voided])

    def _work_out_voids(self) -> dict[int, bool]:
        """Tell voided facts: a void counts unless it is voided itself.

        Voids that void each other in a circle contradict themselves; none of them counts.
        """
        voiders: dict[int, list[int]] = {}
        for ref, target in self._voids.items():
            if self._mode_counts(ref):
                for voided in self.refs(target):
                    voiders.setdefault(voided, []).append(ref)
        known: dict[int, bool] = {
            ref: False for refs in voiders.values() for ref in refs if ref not in voiders
        }
        changed = True
        while changed:
            changed = False
            for ref, by in voiders.items():
                if ref in known:
                    continue
                if any(known.get(v) is False for v in by):
                    known[ref] = changed = True
                elif all(known.get(v) is True for v in by):
                    known[ref] = False
                    changed = True
        return known


def _event_id(text: object) -> bytes | None:
    """Bytes of 32 hex digits; anything else names no event."""
    if text is None or text == "":
        return None
    try:
        key = bytes.fromhex(str(text))
    except ValueError:
        return None
    return key if len(key) == 16 else None
