"""OPC UA PubSub messages in JSON, with and without headers, of 1.04 and of 1.05.

Addresses are ``<publisher>/<writer group>/<data set writer>/<field>``, as far as told.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from connectors.payload.conventions.opcua_variants import (
    Field,
    date_time_ns,
    field_of,
    scalar,
    status_code,
)
from connectors.payload.found import Found, Message
from connectors.payload.values import Refused, leaves, shown
from connectors.settings import Table
from connectors.sink import SourceItem

_FIELDS_MAX = 200_000  # of all writers' metadata
_HEADER = {"Payload", "DataSetWriterId", "DataSetWriterName", "SequenceNumber", "MetaDataVersion"}
_QUIET = ("ua-connection", "ua-application", "ua-endpoints", "ua-actionmetadata")
_OPERATIONAL = 2  # PubSubState
_Types = dict[str, int]


class OpcuaJson:
    """Data sets become samples; metadata tells types and descriptions of their fields."""

    timed = True

    def __init__(self, table: Table) -> None:
        del table
        self._types: OrderedDict[str, _Types] = OrderedDict()
        self._count = 0

    def map(self, message: Message, found: Found) -> None:
        """Map a network message, or what is sent of it without headers."""
        body = message.json()
        place = _place(message.topic)
        if not isinstance(body, dict):
            self._data_sets(message, place, {}, body, found)
            return
        kind = body.get("MessageType")
        if kind == "ua-metadata":
            self._metadata(place, body, found)
        elif kind == "ua-status":
            _status(message, place, body, found)
        elif kind in _QUIET:
            found.counts["pubsub_not_data"] += 1
        elif "Messages" in body:
            self._data_sets(message, place, body, body["Messages"], found)
        else:
            self._data_sets(message, place, {}, body, found)

    def _data_sets(
        self,
        message: Message,
        place: list[str],
        header: dict[str, Any],
        data_sets: object,
        found: Found,
    ) -> None:
        for data_set in data_sets if isinstance(data_sets, list) else [data_sets]:
            if not isinstance(data_set, dict):
                raise Refused(f"cannot read data set: got {shown(data_set)}, want an object")
            self._data_set(message, place, header, data_set, found)

    def _data_set(
        self,
        message: Message,
        place: list[str],
        header: dict[str, Any],
        data_set: dict[str, Any],
        found: Found,
    ) -> None:
        kind = data_set.get("MessageType")
        if kind == "ua-keepalive":
            found.counts["pubsub_keepalives"] += 1
            return
        if kind == "ua-event":
            raise Refused("cannot map data set: got ua-event, want ua-keyframe or ua-deltaframe")
        if data_set.keys() & _HEADER:
            fields = data_set.get("Payload")
            if fields is None:
                found.counts["pubsub_keepalives"] += 1
                return
        else:
            fields, data_set = data_set, {}  # the fields alone
        if not isinstance(fields, dict):
            raise Refused(f"cannot read Payload: got {shown(fields)}, want an object of fields")
        base = _base(message.topic, place, {**header, **data_set})
        time = date_time_ns(data_set.get("Timestamp"))
        time = message.received_ns if time is None else time
        status = status_code(data_set.get("Status", 0))
        types = self._types.get(base, {})
        for name, raw in fields.items():
            field = field_of(raw)
            whole = Field(
                field.value,
                types.get(name) if field.type is None else field.type,
                max(status, field.status or 0),
                time if field.timestamp_ns is None else field.timestamp_ns,
            )
            for key, leaf in leaves(field.value):
                address = f"{base}/{name}.{key}" if key else f"{base}/{name}"
                _add(found, address, replace(whole, type=None) if key else whole, leaf)

    def _metadata(self, place: list[str], body: dict[str, Any], found: Found) -> None:
        meta = body.get("MetaData")
        fields = meta.get("Fields") if isinstance(meta, dict) else None
        if not isinstance(fields, list) or not all(isinstance(f, dict) for f in fields):
            raise Refused(f"cannot read MetaData: got {shown(fields)}, want a list of Fields")
        base = _base("", place, body)
        types: _Types = {}
        items = []
        for field in fields:
            name, type_ = field.get("Name"), field.get("BuiltInType")
            if not isinstance(name, str):
                raise Refused(f"cannot read MetaData: got field name {shown(name)}, want text")
            if isinstance(type_, int) and field.get("ValueRank", -1) == -1:
                types[name] = type_
            items.append(SourceItem(f"{base}/{name}", name, _text(field.get("Description"))))
        self._count += len(types) - len(self._types.pop(base, ()))
        self._types[base] = types
        while self._count > _FIELDS_MAX:
            self._count -= len(self._types.popitem(last=False)[1])
        found.items += items
        found.counts["pubsub_metadata"] += 1


def _place(topic: str) -> list[str]:
    """Publisher, group and writer of a standard topic; empty of any other."""
    levels = topic.split("/")
    for position in range(1, len(levels) - 1):
        if levels[position - 1] == "json":
            return levels[position + 1 : position + 4]
    return []


def _base(topic: str, place: list[str], told: dict[str, Any]) -> str:
    """Publisher, group and writer: of the topic first, because messages may leave headers out."""
    names = [
        told.get("PublisherId"),
        told.get("WriterGroupName"),
        told.get("DataSetWriterName", told.get("DataSetWriterId")),
    ]
    for position, level in enumerate(place):
        names[position] = level
    texts = [str(name) for name in names if isinstance(name, str | int) and name != ""]
    if not texts:
        texts = [topic]
    return "/".join(texts)


def _add(found: Found, address: str, field: Field, leaf: object) -> None:
    if isinstance(leaf, list):
        for position, each in enumerate(leaf):
            if isinstance(each, list | dict):
                raise Refused(f"cannot read {address[:80]!r}: got {shown(each)}, want a scalar")
            _add(found, f"{address}[{position}]", field, each)
        return
    value, wanted = scalar(leaf, field.type, address)
    assert field.timestamp_ns is not None
    assert field.status is not None
    found.sample(address, field.timestamp_ns, value, field.status, wanted)


def _status(message: Message, place: list[str], body: dict[str, Any], found: Found) -> None:
    state = body.get("Status")
    if isinstance(state, bool) or not isinstance(state, int):
        raise Refused(f"cannot read Status: got {shown(state)}, want a number")
    publisher = place[0] if place else body.get("PublisherId")
    if not isinstance(publisher, str | int):
        raise Refused(f"cannot read PublisherId: got {shown(publisher)}, want text")
    time = date_time_ns(body.get("Timestamp"))
    at = message.received_ns if time is None else time
    found.sample(f"{publisher}/online", at, state == _OPERATIONAL)


def _text(raw: object) -> str:
    found = raw.get("Text") if isinstance(raw, dict) else raw
    return found if isinstance(found, str) else ""
