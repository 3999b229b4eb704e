"""JSON messages to samples and events, as configured; what does not fit becomes a reject, by name.

Pure: no clock, no network. One message is all or nothing, so that a redelivery maps the same way.
"""

import math
from collections import Counter
from typing import Any

import orjson

from connectors.columns import Rows
from connectors.payload.addresses import LastAddresses
from connectors.payload.config import ConventionConfig, FieldConfig, MappingConfig
from connectors.payload.found import Event, Found, Message, Samples
from connectors.payload.path import MISSING, topic_matches
from connectors.payload.times import time_ns
from connectors.payload.trees import TreeConfig, Trees
from connectors.payload.values import Refused, canonical, cast, leaves, shown, typed
from connectors.sink import Reject, SourceItem
from storage_engine.sample import (
    BAD_NO_DATA,
    GOOD,
    EventBatch,
    SampleBatch,
    ValueType,
    content_event_id,
    source_event_id,
)

_NUMBERS = {float, int}
_TOPICS_MAX = 10_000  # remembered choices of mapping


class _Convention:
    """A convention at work, with what it remembers."""

    def __init__(self, config: ConventionConfig) -> None:
        self.topic = config.topic
        self.convention = config.make()
        self.timed = self.convention.timed


_Mapping = MappingConfig | _Convention


class Mapper:
    """Applies mappings to messages and collects the rows.

    Parameters
    ----------
    mappings : tuple of MappingConfig or ConventionConfig
        The first that takes a message is used.
    trees : tuple of TreeConfig
        Where the topics stand in the plant.
    """

    def __init__(
        self,
        mappings: tuple[MappingConfig | ConventionConfig, ...],
        trees: tuple[TreeConfig, ...] = (),
    ) -> None:
        self._trees = Trees(trees)
        self._mappings: tuple[_Mapping, ...] = tuple(
            mapping if isinstance(mapping, MappingConfig) else _Convention(mapping)
            for mapping in mappings
        )
        self._by_topic: dict[str, tuple[_Mapping, ...]] = {}
        self._last = LastAddresses()
        self._rows = Rows()
        self._rejects: list[Reject] = []
        self._items: list[SourceItem] = []
        self.counts: Counter[str] = Counter()  # what became of messages that gave no row, by name
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
            As the mapping of the topic wants it, mostly JSON.
        received_ns : int
            Time of receipt, used where the payload has no time.

        Returns
        -------
        bool
            Whether it was mapped; otherwise a reject was collected.
        """
        try:
            samples, events = self._map(topic, payload, received_ns)
        except Refused as error:
            self._rejects.append(Reject(topic, str(error), payload, received_ns))
            return False
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop a collector
            self.counts["mapping_faults"] += 1
            reason = f"cannot map message: the mapping failed with {type(error).__name__}"
            self._rejects.append(Reject(topic, reason, payload, received_ns))
            return False
        if self._trees:
            self._items += self._trees.place(topic, samples)
        for run in samples:
            self._rows.samples(*run)
            self.newest_ns = max(self.newest_ns, *run[2])
        for event in events:
            self._rows.event(*event)
            self.newest_ns = max(self.newest_ns, event[2])
        return True

    def has_time(self, topic: str) -> bool:
        """Whether every mapping of this topic reads its time from the message."""
        return all(
            mapping.time is not None if isinstance(mapping, MappingConfig) else mapping.timed
            for mapping in self._candidates(topic)
        )

    def take(self) -> tuple[tuple[SampleBatch | EventBatch, ...], tuple[Reject, ...]]:
        """Give batches and rejects collected since the last call."""
        rejects, self._rejects = tuple(self._rejects), []
        return self._rows.take(), rejects

    def take_items(self) -> tuple[SourceItem, ...]:
        """Give what messages said of addresses since the last call."""
        items, self._items = tuple(self._items), []
        return items

    def _map(
        self, topic: str, payload: bytes, received_ns: int
    ) -> tuple[list[Samples], list[Event]]:
        candidates = self._candidates(topic)
        if not candidates:
            raise Refused("cannot map message: got no mapping for this topic, want one")
        whole: object = MISSING
        for mapping in candidates:
            if not isinstance(mapping, MappingConfig):
                return self._by_convention(mapping, topic, payload, received_ns)
            if whole is MISSING:
                try:
                    whole = orjson.loads(payload)
                except orjson.JSONDecodeError as error:
                    text = f"cannot read message: got no JSON ({error}), want JSON"
                    raise Refused(text) from None
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
        raise Refused("cannot map message: got no mapping whose `when` takes it, want one")

    def _by_convention(
        self, mapping: _Convention, topic: str, payload: bytes, received_ns: int
    ) -> tuple[list[Samples], list[Event]]:
        found = Found()
        mapping.convention.map(Message(topic, payload, received_ns), found)
        self.counts.update(found.counts)
        self._items += found.items
        return found.samples, found.events

    def _candidates(self, topic: str) -> tuple[_Mapping, ...]:
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
        raise Refused(f"cannot read {mapping.items.text!r}: got {shown(found)}, want a list")
    return found


class _Message:
    """One message with its mapping."""

    def __init__(self, mapping: MappingConfig, topic: str, whole: object, received_ns: int) -> None:
        self._mapping = mapping
        self._topic = topic
        self._levels = topic.split("/")
        self._whole = whole
        self._received_ns = received_ns

    def samples(self, item: object, last: LastAddresses) -> list[Samples]:
        mapping = self._mapping
        times = self._times(item)
        quality = self._quality(item)
        value = mapping.value.of(item, self._whole)
        if value is MISSING:
            raise Refused(f"cannot find value at {mapping.value.text!r}: got nothing, want a value")
        skip = _time_key(mapping)
        if len(times) == 1 and mapping.value_type in {None, ValueType.FLOAT64}:
            numbers = self._numbers(value, skip, last)
            if numbers is not None:
                addresses, values_ = numbers
                many = len(values_)
                return [(ValueType.FLOAT64, addresses, times * many, [quality] * many, values_)]
        found: list[Samples] = []
        for key, leaf in leaves(value):
            if key and key == skip:
                continue
            address = self._address(key)
            values = leaf if isinstance(leaf, list) else [leaf]
            if len(values) != len(times):
                raise Refused(
                    f"cannot pair values: got {len(values)} of {key!r}, want {len(times)}"
                )
            for timestamp_ns, each in zip(times, values, strict=True):
                type_, converted = typed(mapping.value_type, each, key)
                status = BAD_NO_DATA if converted is None and quality == GOOD else quality
                found.append((type_, (address,), (timestamp_ns,), (status,), (converted,)))
        return found

    def _address(self, key: str) -> str:
        template = self._mapping.address
        address = template.fill(self._topic, self._levels, key)
        if address is None:
            raise Refused(f"cannot fill address {template.text!r}: topic is too short")
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

    def event(self, item: object) -> Event:
        mapping = self._mapping
        kind = mapping.event
        if mapping.event_path is not None:
            named = mapping.event_path.of(item, self._whole)
            if not isinstance(named, str) or not named:
                raise Refused(f"cannot find event kind: got {shown(named)}, want text")
            kind = named
        fields = mapping.fields.get(kind)
        if fields is None:
            fields = mapping.fields[""]
            if len(mapping.fields) > 1:
                known = ", ".join(sorted(k for k in mapping.fields if k))
                raise Refused(f"cannot map event: got kind {kind[:80]!r}, want one of {known}")
        times = self._times(item)
        if len(times) != 1:
            raise Refused("cannot read time: got a list, want one time")
        values: list[Any] = []
        for field in fields:
            raw = field.path.of(item, self._whole)
            name = field.column.name
            if name == mapping.rest and raw is MISSING:
                values.append(self._rest(item, fields))
                continue
            if name == mapping.rest and isinstance(raw, dict):
                raw = canonical(raw).decode()
            values.append(None if raw is MISSING else cast(field.column.type, raw, name))
        columns = tuple(field.column for field in fields)
        return kind, columns, times[0], self._event_id(kind, item), values

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
        return canonical(left).decode() if left else None

    def _event_id(self, kind: str, item: object) -> bytes:
        id_ = self._mapping.id
        if id_ is None:
            return content_event_id(canonical([kind, self._topic, item]))
        source = self._topic if id_.source is None else id_.source.of(item, self._whole)
        sequence = id_.sequence.of(item, self._whole)
        if not isinstance(source, str) or isinstance(sequence, bool):
            raise Refused(f"cannot find id: got source {shown(source)}, want text")
        if not isinstance(sequence, str | int):
            raise Refused(f"cannot find id: got sequence {shown(sequence)}, want text or integer")
        return source_event_id(source, sequence)

    def _times(self, item: object) -> list[int]:
        if self._mapping.time is None:
            return [self._received_ns]
        path, unit = self._mapping.time
        raw = path.of(item, self._whole)
        if raw is MISSING:
            raise Refused(f"cannot find time at {path.text!r}: got nothing, want {unit}")
        try:
            return [time_ns(each, unit) for each in (raw if isinstance(raw, list) else [raw])]
        except ValueError as error:
            raise Refused(str(error)) from None

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
        raise Refused(f"cannot read quality: got {shown(raw)}, want a known word or status code")


def _time_key(mapping: MappingConfig) -> str:
    """Name the key that holds the time, when time and values sit in the same object."""
    if mapping.time is None:
        return ""
    path, value = mapping.time[0], mapping.value
    depth = len(value.steps)
    if path.whole == value.whole and path.steps[:depth] == value.steps:
        return ".".join(str(step) for step in path.steps[depth:])
    return ""
