"""Notifications that asyncua decoded, in our shape: what our decoders are compared with."""

import dataclasses
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from connectors.opcua.notification import Change, Notification, changes_of
from storage_engine.sample import ValueType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    "Boolean": ValueType.BOOL,
    "Float": ValueType.FLOAT32,
    "Double": ValueType.FLOAT64,
    "UInt64": ValueType.UINT64,
    "String": ValueType.SYMBOL,
    "XmlElement": ValueType.TEXT,
    "ByteString": ValueType.BYTES,
    **dict.fromkeys(
        ("SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64"), ValueType.INT64
    ),
}


def notification_of(subscription: int, message: Any) -> Notification:
    """Notification from a decoded NotificationMessage.

    Parameters
    ----------
    subscription : int
    message : asyncua NotificationMessage
        Only attributes of the specification's structure are used.
    """
    parts = message.NotificationData or ()
    changes: list[Change] = []
    statuses: list[int] = []
    for part in parts:
        if hasattr(part, "MonitoredItems"):
            changes += [
                _change(each.ClientHandle, each.Value) for each in part.MonitoredItems or ()
            ]
        elif hasattr(part, "Status"):
            statuses.append(int(part.Status.value))
    return Notification(
        int(subscription),
        int(message.SequenceNumber),
        bool(parts),
        changes_of([change for change in changes if not change.problem]),
        [change for change in changes if change.problem],
        statuses,
        _ns(message.PublishTime),
    )


def _change(handle: int, value: Any) -> Change:
    status = 0 if value.StatusCode is None else int(value.StatusCode.value)
    change = Change(
        handle, None, None, status, _ns(value.SourceTimestamp), _ns(value.ServerTimestamp)
    )
    variant = value.Value
    if variant is None or variant.Value is None:
        return change
    name = variant.VariantType.name
    if variant.is_array:
        change.problem = f"got an array of {name}"
    elif name in _TYPES:
        raw = variant.Value
        change.type, change.value = _TYPES[name], raw.value if isinstance(raw, Enum) else raw
    elif name == "DateTime":
        change.value = _ns(variant.Value)
        change.type = None if change.value is None else ValueType.INT64
    elif name == "LocalizedText":
        change.value = variant.Value.Text
        change.type = None if change.value is None else ValueType.SYMBOL
    elif name == "StatusCode":
        change.type, change.value = ValueType.INT64, int(variant.Value.value)
    elif name == "Guid":
        change.type, change.value = ValueType.SYMBOL, str(variant.Value)
    else:
        kind = type(variant.Value).__name__
        change.problem = (
            f"got {name}{f' ({kind})' if dataclasses.is_dataclass(variant.Value) else ''}"
        )
    return change


def _ns(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return ns if moment.year > 1680 and moment.year < 2260 else None
