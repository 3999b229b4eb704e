"""Events and alarms of a server: what is asked for, and the rows they become.

The EventId makes the row's id: an event that comes twice, by Republish, by another notifier or by
the ConditionRefresh after every connection, is one event.

References
----------
OPC 10000-4, 7.22.3 (EventFilter); OPC 10000-9, 5.5 (ConditionType), 5.5.7 (ConditionRefresh),
5.7 (AcknowledgeableConditionType), 5.8 (AlarmConditionType).
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.columns import Rows
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.event_rules import EventRule
from connectors.opcua.variants import Leaf, Tree
from connectors.opcua.wide import as_json
from connectors.sink import Gap
from storage_engine.sample import (
    Column,
    EventBatch,
    SampleBatch,
    ValueType,
    content_event_id,
    source_event_id,
)

FIRST_HANDLE = 0x8000_0000
_SEEN_MAX = 100_000
_NAMES_MAX = 10_000
_OVERFLOW, _REFRESH_REQUIRED = "i=3035", "i=2789"
_SILENT = {"i=2787", "i=2788"}  # a refresh begins, ends
_MODEL = {"i=2132", "i=2133", "i=2738"}  # nodes or their meaning changed
_OVERFLOW_REASON = "the server's queue of events overflowed"

_S, _T, _I, _B = ValueType.SYMBOL, ValueType.TEXT, ValueType.INT64, ValueType.BOOL
_BASE, _CONDITION, _ACKNOWLEDGEABLE, _ALARM = 2041, 2782, 2881, 2915


@dataclass(frozen=True, slots=True)
class Clause:
    """A field of events: where it is declared, and the column it fills ("" for none)."""

    declared: int
    path: tuple[str, ...]
    column: str = ""
    type: ValueType = ValueType.SYMBOL


BASE = (
    Clause(_BASE, ("EventId",)),
    Clause(_BASE, ("EventType",)),
    Clause(_BASE, ("Time",)),
    Clause(_BASE, ("SourceNode",), "node", _T),
    Clause(_BASE, ("SourceName",), "source_name", _S),
    Clause(_BASE, ("Message",), "message", _T),
    Clause(_BASE, ("Severity",), "severity", _I),
    Clause(_BASE, ("ReceiveTime",), "receive_ns", _I),
)
CONDITION = (
    Clause(_CONDITION, (), "condition", _T),  # the NodeId of the condition itself
    Clause(_CONDITION, ("ConditionName",), "condition_name", _S),
    Clause(_CONDITION, ("BranchId",), "branch", _T),
    Clause(_CONDITION, ("Retain",), "retain", _B),
    Clause(_CONDITION, ("EnabledState", "Id"), "enabled", _B),
    Clause(_CONDITION, ("Quality",), "condition_quality", _I),
    Clause(_CONDITION, ("Comment",), "comment", _T),
    Clause(_CONDITION, ("ClientUserId",), "user", _S),
    Clause(_ACKNOWLEDGEABLE, ("AckedState", "Id"), "acked", _B),
    Clause(_ACKNOWLEDGEABLE, ("ConfirmedState", "Id"), "confirmed", _B),
    Clause(_ALARM, ("ActiveState", "Id"), "active", _B),
    Clause(_ALARM, ("ActiveState", "EffectiveDisplayName"), "state", _S),
    Clause(_ALARM, ("SuppressedOrShelved",), "suppressed", _B),
)
_TYPE = Column("event_type", _S)
_EXTRA = (Column("source", _S), Column("attributes", _T))
_PLAIN_COLUMNS = (_TYPE, *(Column(c.column, c.type) for c in BASE if c.column))
SOURCE_EVENT = (*_PLAIN_COLUMNS, *_EXTRA)
ALARM = (*_PLAIN_COLUMNS, *(Column(c.column, c.type) for c in CONDITION), *_EXTRA)


@dataclass(slots=True)
class Notifier:
    """A monitored notifier: which clauses the server took, in order."""

    rule: EventRule
    address: str
    clauses: tuple[Clause, ...]
    last_ns: int = 0


class EventRows:
    """Collects events.

    Parameters
    ----------
    source : str
        Name of the source; event ids are unique within it.

    Attributes
    ----------
    repeats : int
        Events that came again.
    model_changed, refresh_required : bool
        What the server told beside; whoever acts on it clears it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows = Rows()
        self._gaps: list[Gap] = []
        self._fresh: set[bytes] = set()  # collected
        self._taken: set[bytes] = set()  # with the sink; if it fails they come again and are taken
        self._seen: OrderedDict[bytes, None] = OrderedDict()  # durable
        self._names: dict[str, str] = {}
        self.notifiers: dict[int, Notifier] = {}
        self.repeats = 0
        self.model_changed = False
        self.refresh_required = False

    @property
    def count(self) -> int:
        """Rows collected and not yet taken."""
        return self._rows.count

    async def add(
        self,
        events: Sequence[tuple[int, list[Tree]]],
        nodes: AddressSpace,
        received_ns: int,
    ) -> None:
        """Add the events of a message.

        Raises
        ------
        SourceUnavailable
            If the name of an event type cannot be asked for because the line is lost.
        """
        known = []
        for handle, fields in events:
            notifier = self.notifiers.get(handle)
            if notifier is not None:
                known.append((notifier, dict(zip(notifier.clauses, fields, strict=False))))
        types = {_text(fields.get(BASE[1])) for _, fields in known} - self._names.keys() - {""}
        if types:
            await self._name(sorted(types), nodes)
        for notifier, each in known:
            self._add(notifier, each, received_ns)

    async def _name(self, types: list[str], nodes: AddressSpace) -> None:
        if len(self._names) + len(types) > _NAMES_MAX:
            self._names = {}
        for address, name in zip(types, await nodes.read(types, "BrowseName"), strict=True):
            self._names[address] = str(getattr(name, "Name", None) or address)

    def _add(self, notifier: Notifier, fields: dict[Clause, Tree], received_ns: int) -> None:
        type_ = _text(fields.get(BASE[1]))
        time = _leaf(fields.get(BASE[2])).value
        time_ns = time if isinstance(time, int) else received_ns
        if type_ == _OVERFLOW:
            start_ns = min(notifier.last_ns or time_ns, time_ns)
            self._gaps.append(Gap(start_ns, time_ns, _OVERFLOW_REASON, notifier.address))
            return
        self.model_changed = self.model_changed or type_ in _MODEL
        self.refresh_required = self.refresh_required or type_ == _REFRESH_REQUIRED
        if type_ in _SILENT or type_ == _REFRESH_REQUIRED:
            return
        notifier.last_ns = max(notifier.last_ns, time_ns)
        values: list[object] = [self._names.get(type_, type_) or None]
        values += [_cell(clause, fields.get(clause)) for clause in BASE if clause.column]
        condition = [_cell(clause, fields.get(clause)) for clause in CONDITION]
        attributes = {
            "/".join(clause.path): json.loads(as_json(tree))
            for clause, tree in fields.items()
            if not clause.declared and tree != Leaf(None, None)
        }
        extra = [
            self._source,
            json.dumps(attributes, ensure_ascii=False) if attributes else None,
        ]
        alarm = condition[0] is not None or condition[1] is not None
        cells = [*values, *(condition if alarm else ()), *extra]
        event_id = self._event_id(fields, [time_ns, *cells])
        if event_id in self._seen or event_id in self._fresh:
            self.repeats += 1
            return
        self._fresh.add(event_id)
        kind, columns = ("alarm", ALARM) if alarm else ("source_event", SOURCE_EVENT)
        self._rows.event(kind, columns, time_ns, event_id, cells)

    def _event_id(self, fields: dict[Clause, Tree], cells: list[object]) -> bytes:
        found = _leaf(fields.get(BASE[0])).value
        if isinstance(found, bytes) and found:
            return source_event_id(self._source, found.hex())
        return content_event_id(json.dumps(cells, default=str).encode())

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], tuple[Gap, ...]]:
        """Batches and gaps since the last time."""
        gaps, self._gaps = tuple(self._gaps), []
        self._taken, self._fresh = self._fresh, set()
        return (self._rows.take() if self._rows.count else ()), gaps

    def durable(self) -> None:
        """What was taken last is stored: from now on it is a repeat."""
        self._seen.update(dict.fromkeys(self._taken))
        self._taken = set()
        while len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)


def _leaf(tree: Tree | None) -> Leaf:
    return tree if isinstance(tree, Leaf) else Leaf(None, None)


def _text(tree: Tree | None) -> str:
    value = _leaf(tree).value
    return value if isinstance(value, str) else ""


def _cell(clause: Clause, tree: Tree | None) -> object:
    """Value of a column; what has another type than its column is null, as it says nothing."""
    value = _leaf(tree).value
    if clause.type in {_S, _T}:
        if value is None or value == "i=0":
            return None
        return value if isinstance(value, str) else str(value)
    if clause.type is _B:
        return value if isinstance(value, bool) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
