"""JSON messages to samples and events, as configured; what does not fit becomes a reject, by name.

Pure: no clock, no network. One message is all or nothing, so that a redelivery maps the same way.
"""

import math
from collections.abc import Sequence
from typing import Any

import orjson

from connectors.columns import Rows
from connectors.payload.addresses import LastAddresses
from connectors.payload.config import FieldConfig, MappingConfig
from connectors.payload.path import MISSING, topic_matches
from connectors.payload.times import time_ns
from connectors.sink import Reject
from storage_engine.sample import (
    BAD_NO_DATA,
    GOOD,
    EventBatch,
    SampleBatch,
    ValueType,
    content_event_id,
    source_event_id,
)

# Type, addresses, times, qualities and values of samples side by side.
_Samples = tuple[ValueType, Sequence[str], Sequence[int], Sequence[int], Sequence[object]]
_Event = tuple[str, tuple[FieldConfig, ...], int, bytes, list[Any]]
_DEPTH_MAX = 16
_NUMBERS = {float, int}
_TOPICS_MAX = 10_000  # remembered choices of mapping
_INTEGERS = {ValueType.INT64: (-(1 << 63), (1 << 63) - 1), ValueType.UINT64: (0, (1 << 64) - 1)}


class _Refused(Exception):  # noqa: N818 - never leaves this file
    """The message does not fit its mapping."""


class Mapper:
    """Applies mappings to messages and collects the rows.

    Parameters
    ----------
    mappings : tuple of MappingConfig
        The first that takes a message is used.
    """

    def __init__(self, mappings: tuple[MappingConfig, ...]) -> None:
        self._mappings = mappings
        self._by_topic: dict[str, tuple[MappingConfig, ...]] = {}
        self._last = LastAddresses()
        self._rows = Rows()
        self._rejects: list[Reject] = []
        self.newest_ns = 0

    @property
    def count(self) -> int:
        """Rows collected and not yet taken."""
        return self._rows.count

    def add(self, topic: str, payload: bytes, received_ns: int) -> bool:
        """Map one message.

        Parameters
        ----------
        topic : str
        payload : bytes
            JSON.
        received_ns : int
            Time of receipt, used where no payload time is configured.

        Returns
        -------
        bool
            Whether it was mapped; otherwise a reject was collected.
        """
        try:
            samples, events = self._map(topic, payload, received_ns)
        except _Refused as error:
            self._rejects.append(Reject(topic, str(error), payload, received_ns))
            return False
        for run in samples:
            self._rows.samples(*run)
            self.newest_ns = max(self.newest_ns, *run[2])
        for kind, fields, timestamp_ns, id_, values in events:
            columns = tuple(field.column for field in fields)
            self._rows.event(kind, columns, timestamp_ns, id_, values)
            self.newest_ns = max(self.newest_ns, timestamp_ns)
        return True

    def has_time(self, topic: str) -> bool:
        """Whether every mapping of this topic reads its time from the message."""
        return all(mapping.time is not None for mapping in self._candidates(topic))

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], tuple[Reject, ...]]:
        """Give batches and rejects collected since the last call."""
        rejects, self._rejects = tuple(self._rejects), []
        return self._rows.take(), rejects

    def _map(
        self, topic: str, payload: bytes, received_ns: int
    ) -> tuple[list[_Samples], list[_Event]]:
        candidates = self._candidates(topic)
        if not candidates:
            raise _Refused("cannot map message: got no mapping for this topic, want one")
        try:
            whole: object = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise _Refused(f"cannot read message: got no JSON ({error}), want JSON") from None
        for mapping in candidates:
            if mapping.when is not None:
                path, equals = mapping.when
                if path.of(whole, whole) != equals:
                    continue
            items = _items(mapping, whole)
            message = _Message(mapping, topic, whole, received_ns)
            if mapping.kind == "samples":
                last = self._last
                return [run for item in items for run in message.samples(item, last)], []
            return [], [message.event(item) for item in items]
        raise _Refused("cannot map message: got no mapping whose `when` takes it, want one")

    def _candidates(self, topic: str) -> tuple[MappingConfig, ...]:
        found = self._by_topic.get(topic)
        if found is None:
            found = tuple(m for m in self._mappings if topic_matches(m.topic, topic))
            if len(self._by_topic) >= _TOPICS_MAX:
                self._by_topic.clear()
            self._by_topic[topic] = found
        return found


def _items(mapping: MappingConfig, whole: object) -> list[object]:
    if mapping.items is None:
        return [whole]
    found = mapping.items.of(whole, whole)
    if not isinstance(found, list):
        raise _Refused(f"cannot read {mapping.items.text!r}: got {_shown(found)}, want a list")
    return found


class _Message:
    """One message with its mapping."""

    def __init__(self, mapping: MappingConfig, topic: str, whole: object, received_ns: int) -> None:
        self._mapping = mapping
        self._topic = topic
        self._levels = topic.split("/")
        self._whole = whole
        self._received_ns = received_ns

    def samples(self, item: object, last: LastAddresses) -> list[_Samples]:
        mapping = self._mapping
        times = self._times(item)
        quality = self._quality(item)
        value = mapping.value.of(item, self._whole)
        if value is MISSING:
            raise _Refused(
                f"cannot find value at {mapping.value.text!r}: got nothing, want a value"
            )
        skip = _time_key(mapping)
        if len(times) == 1 and mapping.value_type in {None, ValueType.FLOAT64}:
            numbers = self._numbers(value, skip, last)
            if numbers is not None:
                addresses, values_ = numbers
                many = len(values_)
                return [(ValueType.FLOAT64, addresses, times * many, [quality] * many, values_)]
        found: list[_Samples] = []
        for key, leaf in _leaves(value, "", 0):
            if key and key == skip:
                continue
            address = self._address(key)
            values = leaf if isinstance(leaf, list) else [leaf]
            if len(values) != len(times):
                raise _Refused(
                    f"cannot pair values: got {len(values)} of {key!r}, want {len(times)}"
                )
            for timestamp_ns, each in zip(times, values, strict=True):
                type_, converted = _typed(mapping.value_type, each, key)
                status = BAD_NO_DATA if converted is None and quality == GOOD else quality
                found.append((type_, (address,), (timestamp_ns,), (status,), (converted,)))
        return found

    def _address(self, key: str) -> str:
        template = self._mapping.address
        address = template.fill(self._topic, self._levels, key)
        if address is None:
            raise _Refused(f"cannot fill address {template.text!r}: topic is too short")
        return address

    def _numbers(
        self, value: object, skip: str, last: LastAddresses
    ) -> tuple[tuple[str, ...], list[float]] | None:
        """Addresses and values of numbers side by side; None for whatever needs a closer look."""
        keys: tuple[str, ...] = ("",)
        values: list[Any] = [value]
        if isinstance(value, dict):
            if skip and skip in value:
                value = {key: inner for key, inner in value.items() if key != skip}
            keys, values = tuple(value), list(value.values())
        if not values or not set(map(type, values)) <= _NUMBERS:
            return None
        try:
            numbers = list(map(float, values))
        except OverflowError:
            return None
        if numbers != values or not math.isfinite(sum(numbers)):
            return None
        return last.of(self._mapping, self._topic, keys, self._address), numbers

    def event(self, item: object) -> _Event:
        mapping = self._mapping
        kind = mapping.event
        if mapping.event_path is not None:
            named = mapping.event_path.of(item, self._whole)
            if not isinstance(named, str) or not named:
                raise _Refused(f"cannot find event kind: got {_shown(named)}, want text")
            kind = named
        fields = mapping.fields.get(kind)
        if fields is None:
            fields = mapping.fields[""]
            if len(mapping.fields) > 1:
                known = ", ".join(sorted(k for k in mapping.fields if k))
                raise _Refused(f"cannot map event: got kind {kind[:80]!r}, want one of {known}")
        times = self._times(item)
        if len(times) != 1:
            raise _Refused("cannot read time: got a list, want one time")
        values: list[Any] = []
        for field in fields:
            raw = field.path.of(item, self._whole)
            name = field.column.name
            if name == mapping.rest and raw is MISSING:
                values.append(self._rest(item, fields))
                continue
            if name == mapping.rest and isinstance(raw, dict):
                raw = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS).decode()
            values.append(None if raw is MISSING else _cast(field.column.type, raw, name))
        return kind, fields, times[0], self._event_id(kind, item), values

    def _rest(self, item: object, fields: tuple[FieldConfig, ...]) -> str | None:
        """Give what no column takes, as a JSON object."""
        if not isinstance(item, dict):
            return None
        mapping = self._mapping
        used = {field.path.steps[0] for field in fields if field.path.steps}
        named = [mapping.event_path, mapping.time[0] if mapping.time else None]
        if mapping.id is not None:
            named += [mapping.id.source, mapping.id.sequence]
        used |= {path.steps[0] for path in named if path is not None and path.steps}
        left = {key: value for key, value in item.items() if key not in used}
        return orjson.dumps(left, option=orjson.OPT_SORT_KEYS).decode() if left else None

    def _event_id(self, kind: str, item: object) -> bytes:
        id_ = self._mapping.id
        if id_ is None:
            content = orjson.dumps([kind, self._topic, item], option=orjson.OPT_SORT_KEYS)
            return content_event_id(content)
        source = self._topic if id_.source is None else id_.source.of(item, self._whole)
        sequence = id_.sequence.of(item, self._whole)
        if not isinstance(source, str) or isinstance(sequence, bool):
            raise _Refused(f"cannot find id: got source {_shown(source)}, want text")
        if not isinstance(sequence, str | int):
            raise _Refused(f"cannot find id: got sequence {_shown(sequence)}, want text or integer")
        return source_event_id(source, sequence)

    def _times(self, item: object) -> list[int]:
        if self._mapping.time is None:
            return [self._received_ns]
        path, unit = self._mapping.time
        raw = path.of(item, self._whole)
        if raw is MISSING:
            raise _Refused(f"cannot find time at {path.text!r}: got nothing, want {unit}")
        try:
            return [time_ns(each, unit) for each in (raw if isinstance(raw, list) else [raw])]
        except ValueError as error:
            raise _Refused(str(error)) from None

    def _quality(self, item: object) -> int:
        config = self._mapping.quality
        if config is None:
            return GOOD
        raw = config.path.of(item, self._whole)
        if raw is MISSING:
            return GOOD
        if isinstance(raw, str | int | bool) and str(raw) in config.codes:
            return config.codes[str(raw)]
        if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 1 << 32:
            return raw
        raise _Refused(f"cannot read quality: got {_shown(raw)}, want a known word or status code")


def _time_key(mapping: MappingConfig) -> str:
    """Name the key that holds the time, when time and values sit in the same object."""
    if mapping.time is None:
        return ""
    path, value = mapping.time[0], mapping.value
    depth = len(value.steps)
    if path.whole == value.whole and path.steps[:depth] == value.steps:
        return ".".join(str(step) for step in path.steps[depth:])
    return ""


def _leaves(value: object, key: str, depth: int) -> list[tuple[str, object]]:
    """Scalars and lists below an object, with dotted keys."""
    if not isinstance(value, dict):
        return [(key, value)]
    if depth >= _DEPTH_MAX:
        raise _Refused(f"cannot read values: got more than {_DEPTH_MAX} levels, want fewer")
    return [
        leaf
        for name, inner in value.items()
        for leaf in _leaves(inner, f"{key}.{name}" if key else name, depth + 1)
    ]


def _typed(type_: ValueType | None, value: object, key: str) -> tuple[ValueType, Any]:
    """Type and value of a sample: without a type, numbers are float64 and text is symbol."""
    if type_ is None:
        if isinstance(value, bool):
            type_ = ValueType.BOOL
        elif isinstance(value, str):
            type_ = ValueType.SYMBOL
        else:
            type_ = ValueType.FLOAT64
    return type_, _cast(type_, value, key)


def _cast(type_: ValueType, value: object, key: str) -> Any:
    """Value of the type, None for null; never rounds silently."""
    if value is None:
        return None
    if type_ in {ValueType.SYMBOL, ValueType.TEXT}:
        if isinstance(value, str):
            return value
    elif type_ is ValueType.BOOL:
        if isinstance(value, bool):
            return value
    elif type_ is ValueType.BYTES:
        if isinstance(value, str):
            return value.encode()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        converted = _number(type_, value)
        if converted is not None:
            return converted
    raise _Refused(f"cannot read {key!r}: got {_shown(value)}, want {type_.name.lower()}")


def _number(type_: ValueType, value: float) -> int | float | None:
    limits = _INTEGERS.get(type_)
    if limits is not None:
        if isinstance(value, float) and not value.is_integer():
            return None
        return int(value) if limits[0] <= value <= limits[1] else None
    if type_ is ValueType.FLOAT32:
        return float(value) if abs(value) <= 3.4028235677973366e38 else None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) and converted == value else None


def _shown(value: object) -> str:
    if value is MISSING:
        return "nothing"
    return repr(value)[:80]
