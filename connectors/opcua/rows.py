"""From the changes of many notifications to batches, columns all the way."""

from dataclasses import dataclass, field

import numpy as np

from connectors.opcua import publish
from connectors.opcua.first_values import FirstValues, cells_of
from connectors.opcua.items import NEVER, Registry
from connectors.opcua.notification import Change, Changes, Notification, Wide
from connectors.opcua.wide import WideRows
from connectors.sink import Gap, Reject
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    ColumnData,
    EventBatch,
    Int64Array,
    SampleBatch,
    UInt32Array,
    UInt64Array,
    ValueType,
)

Batch = SampleBatch | EventBatch
BAD_NODE_ID_INVALID = 0x8033_0000
BAD_NODE_ID_UNKNOWN = 0x8034_0000
OVERFLOW_REASON = "the server's queue of the item overflowed"
_OVERFLOW_MASK, _OVERFLOW = 0x0C80, 0x0480  # info type data value with the overflow bit


@dataclass(slots=True)
class _Series:
    """Pieces of one value type, in order of arrival."""

    handle: list[UInt32Array] = field(default_factory=list)
    time_ns: list[Int64Array] = field(default_factory=list)
    status: list[UInt32Array] = field(default_factory=list)
    value: list[AnyArray] = field(default_factory=list)
    valid: list[BoolArray] = field(default_factory=list)
    nulls: int = 0


class ChangeRows:
    """Collects changes in order and counts what was lost at the source.

    Parameters
    ----------
    registry : Registry
    first : FirstValues, optional
        Told of every change before it becomes a row.
    """

    def __init__(self, registry: Registry, first: FirstValues | None = None) -> None:
        self._registry = registry
        self._first = first
        self._series: dict[ValueType, _Series] = {}
        self._rejects: list[Reject] = []
        self._gaps: list[Gap] = []
        self._wide = WideRows(registry)
        self.count = 0
        self.newest_ns = 0
        self.gone = False  # a node has vanished; whoever acts on it clears it

    def add(self, message: Notification, received_ns: int) -> None:
        """Add the changes of one notification.

        Parameters
        ----------
        message : Notification
        received_ns : int
            Time of receipt, for a server that sends no time at all.
        """
        changes = message.changes
        if self._first is not None and self._first.left:
            changes = self._first.sift(changes, message.published_ns, received_ns)
        changes = self._wide.take_nulls(changes, received_ns)
        if len(changes):
            self._add_changes(changes, received_ns)
        for wide in message.wide:
            self._add_wide(wide, received_ns)
        for broken in message.broken:
            self._rejects.append(Reject("", broken.reason, broken.payload, received_ns))
            end_ns = received_ns if message.published_ns is None else message.published_ns
            self._gaps.append(Gap(end_ns, end_ns, broken.reason))
        for change in message.problems:
            self._add_problem(change, received_ns)

    def take(self) -> tuple[tuple[Batch, ...], tuple[Reject, ...], tuple[Gap, ...]]:
        """Batches (one per value type, rows in order of arrival), rejects and gaps since last."""
        addresses = self._registry.addresses
        wide, too_wide = self._wide.take()
        batches = tuple(_batch(addresses, type_, rows) for type_, rows in self._series.items())
        rejects, gaps = (*self._rejects, *too_wide), tuple(self._gaps)
        self._series, self._rejects, self._gaps, self.count = {}, [], [], 0
        return batches + wide, rejects, gaps

    def _add_changes(self, changes: Changes, received_ns: int) -> None:
        registry = self._registry
        series, valid, time_ns, before_ns, rows, nulls, overflows, gone, newest_ns = publish.settle(
            changes.columns, registry.types, registry.last_ns, received_ns
        )
        known = slice(None) if not rows[0] else series != 0
        registry.last_cell[changes.columns[0][known]] = cells_of(changes)[known]
        if rows[0]:
            for handle in changes.columns[0][series == 0].tolist():
                self._reject(f"handle {handle}", "got an unknown handle", received_ns)
        if overflows:
            self._note_overflows(changes, before_ns, time_ns)
        if gone:
            self._note_gone(changes, received_ns)
        for type_ in ValueType:
            if rows[type_]:
                part = None if rows[type_] == len(changes) else np.flatnonzero(series == type_)
                self._add_part(type_, part, changes, valid, time_ns)
                self._series[type_].nulls += nulls[type_]
                self.count += rows[type_]
        self.newest_ns = max(self.newest_ns, newest_ns)

    def _add_part(
        self,
        type_: ValueType,
        part: Int64Array | None,
        changes: Changes,
        valid: BoolArray,
        time_ns: Int64Array,
    ) -> None:
        handle, _, cell, status = changes.columns[:4]
        if part is not None:
            handle, cell, status = handle[part], cell[part], status[part]
            valid, time_ns = valid[part], time_ns[part]
        rows = self._series.setdefault(type_, _Series())
        rows.handle.append(handle)
        rows.time_ns.append(time_ns)
        rows.status.append(status)
        rows.valid.append(valid)
        rows.value.append(_values(type_, cell, valid, changes.objects))

    def _note_overflows(self, changes: Changes, before_ns: Int64Array, time_ns: Int64Array) -> None:
        """Name what queues of the server had no room for: it was older than the row (Part 4)."""
        items = self._registry.items
        handles, statuses = changes.columns[0], changes.columns[3]
        for row in np.flatnonzero((statuses & _OVERFLOW_MASK) == _OVERFLOW).tolist():
            if handles[row] < len(items):
                end_ns = int(time_ns[row])
                start_ns = end_ns if before_ns[row] == NEVER else min(int(before_ns[row]), end_ns)
                address = items[handles[row]].address
                self._gaps.append(Gap(start_ns, end_ns, OVERFLOW_REASON, address))

    def _note_gone(self, changes: Changes, received_ns: int) -> None:
        """Report nodes that the server no longer has, once each."""
        items = self._registry.items
        handles, statuses = changes.columns[0], changes.columns[3]
        found = np.isin(statuses, (BAD_NODE_ID_INVALID, BAD_NODE_ID_UNKNOWN))
        for handle, status in zip(handles[found].tolist(), statuses[found].tolist(), strict=True):
            if handle < len(items) and not items[handle].missing:
                items[handle].missing, items[handle].live = True, False
                self.gone = True
                reason = f"got status {status:#x}: the node is gone"
                self._reject(items[handle].address, reason, received_ns)

    def _add_problem(self, change: Change, received_ns: int) -> None:
        items = self._registry.items
        if change.handle >= len(items):
            self._reject(f"handle {change.handle}", "got an unknown handle", received_ns)
            return
        timestamp_ns = change.source_ns
        if timestamp_ns is None:
            timestamp_ns = received_ns if change.server_ns is None else change.server_ns
        payload = change.value if isinstance(change.value, bytes) else b""
        text = f"cannot take value: {change.problem}, want one that its type describes"
        self._rejects.append(Reject(items[change.handle].address, text, payload, timestamp_ns))

    def _add_wide(self, wide: Wide, received_ns: int) -> None:
        if wide.handle >= len(self._registry.items):
            self._reject(f"handle {wide.handle}", "got an unknown handle", received_ns)
            return
        before = self._wide.count
        self._wide.add(wide, received_ns)
        self.count += self._wide.count - before

    def _reject(self, address: str, reason: str, timestamp_ns: int) -> None:
        text = f"cannot take value: {reason}, want a scalar of a known item"
        self._rejects.append(Reject(address, text, b"", timestamp_ns))


def _values(
    type_: ValueType, cell: UInt64Array, valid: BoolArray, objects: list[object]
) -> AnyArray:
    match type_:
        case ValueType.FLOAT64:
            return cell.view(np.float64)
        case ValueType.INT64:
            return cell.view(np.int64)
        case ValueType.UINT64:
            return cell
        case ValueType.FLOAT32:
            return cell.astype(np.uint32).view(np.float32)
        case ValueType.BOOL:
            return cell.astype(np.bool_)
    found = np.full(len(cell), b"" if type_ is ValueType.BYTES else "", dtype=np.object_)
    found[valid] = [objects[place] for place in cell[valid].tolist()]
    return found


def _batch(addresses: tuple[str, ...], type_: ValueType, rows: _Series) -> SampleBatch:
    valid = np.concatenate(rows.valid) if rows.nulls else None
    return SampleBatch(
        addresses,
        np.concatenate(rows.handle).view(np.int32),
        np.concatenate(rows.time_ns),
        np.concatenate(rows.status),
        ColumnData(type_, np.concatenate(rows.value), valid),
    )
