"""What a server says of its variables: names, units, ranges, types, texts of enumerations."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from asyncua import ua as asyncua_ua

from connectors.opcua.address_space import AddressSpace
from connectors.opcua.discovery import Found
from connectors.sink import SourceItem

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
_WANTED = {
    "EURange",
    "InstrumentRange",
    "EngineeringUnits",
    "EnumStrings",
    "EnumValues",
    "TrueState",
    "FalseState",
}
_STATES_MAX = 1_000
_TEXT_MAX = 1_000


async def describe(nodes: AddressSpace, found: Sequence[Found]) -> list[SourceItem]:
    """Metadata of variables that the server has; others are left out.

    Parameters
    ----------
    nodes : AddressSpace
    found : sequence of Found

    Raises
    ------
    SourceUnavailable
        If the line is lost.
    """
    ids = [each.node for each in found]
    names = await nodes.read(ids, "DisplayName")
    texts = await nodes.read(ids, "Description")
    ranks = await nodes.read(ids, "ValueRank")
    types = await nodes.read(ids, "DataType")
    properties = await _properties(nodes, ids)
    data_types = [None if each is None else nodes.address_of(each) for each in types]
    known = await _data_types(nodes, {each for each in data_types if each})
    items = []
    for each, name, text, rank, data_type, own in zip(
        found, names, texts, ranks, data_types, properties, strict=True
    ):
        if name is None:
            continue
        type_name, type_facts = known.get(data_type or "", ("", {}))
        range_ = own.get("EURange") or own.get("InstrumentRange")
        unit, code = _unit(own.get("EngineeringUnits"))
        facts = {
            "path": each.path,
            "node": each.node if each.node != each.address else "",
            "data_type": type_name,
            "value_rank": "" if rank in {None, -1} else str(rank),
            "unece": code,
            "states": _states({**type_facts, **own}),
        }
        items.append(
            SourceItem(
                each.address,
                _text(name),
                _text(text),
                unit,
                _number(range_, "Low"),
                _number(range_, "High"),
                {key: value for key, value in facts.items() if value},
            )
        )
    return items


async def _properties(nodes: AddressSpace, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Values of the properties that we understand, by browse name, per node."""
    found: list[dict[str, Any]] = [{} for _ in ids]
    known = [(place, node) for place, each in enumerate(ids) if (node := nodes.node_id(each))]
    references, _ = await nodes.browser.follow(
        [node for _, node in known],
        (ua.ObjectIds.HasProperty,),
        classes=ua.NodeClass.Variable,
    )
    wanted = []
    for (place, _), several in zip(known, references, strict=True):
        for each in several:
            name = str(each.BrowseName.Name or "")
            node = nodes.local(each.NodeId)
            if name in _WANTED and node is not None:
                wanted.append((place, name, nodes.address_of(node)))
    values = await nodes.read([address for _, _, address in wanted], "Value")
    for (place, name, _), value in zip(wanted, values, strict=True):
        if value is not None:
            found[place][name] = value
    return found


async def _data_types(
    nodes: AddressSpace, addresses: set[str]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name and properties of data types: an enumeration's texts are there."""
    ordered = sorted(addresses)
    names = await nodes.read(ordered, "BrowseName")
    properties = await _properties(nodes, ordered)
    definitions = await nodes.read(ordered, "DataTypeDefinition")
    for own, definition in zip(properties, definitions, strict=True):
        if isinstance(definition, ua.EnumDefinition) and "EnumStrings" not in own:
            own.setdefault("EnumValues", definition.Fields or [])
    return {
        address: (str(getattr(name, "Name", None) or address), own)
        for address, name, own in zip(ordered, names, properties, strict=True)
    }


def _states(own: Mapping[str, Any]) -> str:
    """Texts of the values of an enumeration or a two-state variable, as a JSON object."""
    found: dict[str, str] = {}
    strings, values = own.get("EnumStrings"), own.get("EnumValues")
    if isinstance(values, list):
        for each in values[:_STATES_MAX]:
            value = getattr(each, "Value", None)
            if isinstance(value, int):
                text = _text(getattr(each, "DisplayName", None))
                found[str(value)] = text or str(getattr(each, "Name", None) or "")[:_TEXT_MAX]
    elif isinstance(strings, list):
        found = {str(place): _text(each) for place, each in enumerate(strings[:_STATES_MAX])}
    elif "TrueState" in own or "FalseState" in own:
        found = {"0": _text(own.get("FalseState")), "1": _text(own.get("TrueState"))}
    return json.dumps(found, ensure_ascii=False) if any(found.values()) else ""


def _unit(unit: Any) -> tuple[str, str]:
    """Unit for people, and its UNECE code where the server says one (OPC 10000-8, 5.6.3)."""
    if unit is None:
        return "", ""
    code = ""
    identifier: Any = getattr(unit, "UnitId", None)
    ours = getattr(unit, "NamespaceUri", None) == _UNECE and isinstance(identifier, int)
    if ours and 0 < identifier < 1 << 24:
        raw = identifier.to_bytes(3, "big").lstrip(b"\0")
        code = raw.decode("ascii") if raw.isalnum() else ""
    return _text(getattr(unit, "DisplayName", None)) or code, code


def _number(range_: Any, name: str) -> float | None:
    value = getattr(range_, name, None)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(text: Any) -> str:
    return str(getattr(text, "Text", None) or "")[:_TEXT_MAX]
