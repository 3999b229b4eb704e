"""What a birth says of its metrics: names, types, templates, and what they are."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.sink import Reject, SourceItem
from connectors.sparkplug import decode
from connectors.sparkplug.decode import Payload
from connectors.sparkplug.metric import Metric, reject, whole
from connectors.sparkplug.metric import held as held_of
from connectors.sparkplug.structures import properties_of, template_head
from connectors.sparkplug.values import ELEMENTS, TEMPLATE, TYPES, name_of
from storage_engine.sample import ValueType

_DEPTH_MAX = 20
_MEMBERS_MAX = 10_000

Definitions = dict[str, dict[str, tuple[int, str]]]  # of templates: member -> datatype, reference


@dataclass(slots=True)
class Birth:
    """What reading a birth gives."""

    metrics: list[Metric] = field(default_factory=list)
    items: list[SourceItem] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # rows of the payload


def read_birth(
    payload: Payload, scope: str, definitions: Definitions, *, arrays: str, node: bool
) -> Birth:
    """Read the metrics of a birth.

    Parameters
    ----------
    payload : Payload
    scope : str
        Address of the node or the device.
    definitions : dict
        Templates by name; the birth of a node adds its own.
    arrays : str
        "text" or "elements".
    node : bool
        It is the birth of the node itself: only there templates are defined.
    """
    birth = Birth()
    seen: set[str] = set()
    if node:
        for k in range(payload.count):
            _define(payload, k, definitions)
    for k in range(payload.count):
        address = scope
        try:
            name = payload.name(k)
            if not name:
                raise ValueError("got a metric without a name, want one in a birth")
            address = f"{scope}:{name}"
            if name in seen:
                raise ValueError("got the name twice, want it once in a birth")
            seen.add(name)
            metric = _Reader(definitions, arrays).metric(payload, k, name, address)
            birth.metrics.append(metric)
            if not metric.is_definition:
                birth.items += _items(payload, k, metric)
        except ValueError as error:
            birth.rejects.append(reject(address, error, payload, k))
            birth.refused.append(k)
    return birth


def _template(payload: Payload, k: int) -> tuple[Payload | None, str, bool]:
    kind, held = held_of(payload, k)
    if kind != 18 or isinstance(held, int):
        return None, "", False
    head = template_head(held)
    return Payload(held, template=True), head.ref, head.is_definition


def _define(payload: Payload, k: int, definitions: Definitions) -> None:
    if int(payload.columns[decode.INFO, k]) >> 16 != TEMPLATE:
        return
    try:
        inner, _, is_definition = _template(payload, k)
        name = payload.name(k)
        if inner is None or not is_definition or name is None:
            return
        found = {}
        for j in range(inner.count):
            ref = _template(inner, j)[1]
            found[inner.name(j) or ""] = int(inner.columns[decode.INFO, j]) >> 16, ref
    except ValueError:
        return  # the same metric is refused by name as the birth is read
    definitions[name] = found


@dataclass(slots=True)
class _Reader:
    """Makes a metric of a birth; ``room`` bounds the members that one may have."""

    definitions: Definitions
    arrays: str
    room: int = _MEMBERS_MAX

    def metric(self, payload: Payload, k: int, name: str, address: str, depth: int = 0) -> Metric:
        info, alias = int(payload.columns[decode.INFO, k]), int(payload.columns[decode.ALIAS, k])
        metric = Metric(name, address, info >> 16)
        if info & decode.HAS_ALIAS:
            metric.alias = alias % (1 << 64)
        if metric.datatype != TEMPLATE:
            _typed(metric, self.arrays)
            return metric
        inner, ref, metric.is_definition = _template(payload, k)
        if metric.is_definition:
            return metric
        self._define(metric, ref, depth)
        for j in range(inner.count if inner is not None else 0):
            assert inner is not None, "counted"
            member = inner.name(j)
            if not member:
                raise ValueError("got a member without a name, want one")
            if int(inner.columns[decode.INFO, j]) >> 16 or member not in metric.members:
                self._take_room(depth)
                inside = f"{address}/{member}"
                metric.members[member] = self.metric(inner, j, member, inside, depth + 1)
        return metric

    def _define(self, metric: Metric, ref: str, depth: int) -> None:
        """Members as the definition has them: an instance need not name them all."""
        if ref not in self.definitions:
            raise ValueError(f"got a template of {ref!r}, want one that the node has defined")
        for name, (datatype, inner) in self.definitions[ref].items():
            self._take_room(depth)
            member = Metric(name, f"{metric.address}/{name}", datatype)
            if datatype == TEMPLATE:
                self._define(member, inner, depth + 1)
            else:
                _typed(member, self.arrays)
            metric.members[name] = member

    def _take_room(self, depth: int) -> None:
        self.room -= 1
        if self.room < 0 or depth > _DEPTH_MAX:
            raise ValueError(
                f"got a template beyond {_MEMBERS_MAX} members or {_DEPTH_MAX} levels, want less"
            )


def _typed(metric: Metric, arrays: str) -> None:
    """Give a metric that is no template the type of its series."""
    if metric.datatype in ELEMENTS:
        metric.type = ELEMENTS[metric.datatype] if arrays == "elements" else ValueType.TEXT
        metric.elements = 0 if arrays == "elements" else -1
    else:
        metric.type = TYPES.get(metric.datatype)
    if metric.type is None:
        raise ValueError(f"got {name_of(metric.datatype)}, want a datatype of a metric")


def _items(payload: Payload, k: int, metric: Metric) -> list[SourceItem]:
    found: dict[str, Any] = {}
    description = ""
    if int(payload.columns[decode.INFO, k]) & (decode.PROPERTIES | decode.METADATA):
        found, description = properties_of(whole(payload, k))
    if metric.members:
        inner = _template(payload, k)[0]
        items = []
        for j in range(inner.count if inner is not None else 0):
            assert inner is not None, "counted"
            items += _items(inner, j, metric.members[inner.name(j) or ""])
        return items
    known = {"engUnit", "engLow", "engHigh", "Quality", "description"}
    facts = {key: _fact(value) for key, value in found.items() if key not in known}
    return [
        SourceItem(
            metric.address,
            name=metric.name,
            description=description or _fact(found.get("description", "")),
            eng_unit=_fact(found.get("engUnit", "")),
            low=_limit(found.get("engLow")),
            high=_limit(found.get("engHigh")),
            facts={"datatype": name_of(metric.datatype), **facts},
        )
    ]


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=repr).decode()


def _limit(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
