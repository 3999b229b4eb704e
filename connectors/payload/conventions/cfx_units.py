"""The envelope of IPC-CFX messages, and the units that they name."""

from dataclasses import dataclass, replace
from typing import Any

from connectors.payload.conventions.vision import text
from connectors.payload.found import Found
from connectors.payload.times import time_ns
from connectors.payload.values import Refused, shown
from storage_engine.sample import source_event_id

_VERDICTS = {"Pass": "PASS", "Fail": "FAIL", "Scrap": "SCRAP", "Skip": "SKIP"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One CFX message."""

    name: str
    time_ns: int
    unique_id: str
    source: str
    body: dict[str, Any]

    @staticmethod
    def read(raw: object) -> "Envelope":
        """Read an envelope.

        Raises
        ------
        Refused
            If it has no name, time, id or source.
        """
        if not isinstance(raw, dict):
            raise Refused(f"cannot read envelope: got {shown(raw)}, want an object")
        texts = [text(raw.get(key)) for key in ("MessageName", "UniqueID", "Source")]
        name, unique_id, source = texts
        body = raw.get("MessageBody")
        if name is None or unique_id is None or source is None or not isinstance(body, dict):
            got = shown({key: raw.get(key) for key in ("MessageName", "UniqueID", "Source")})
            raise Refused(f"cannot read envelope: got {got}, want texts and a MessageBody")
        try:
            at = time_ns(raw.get("TimeStamp"), "iso")
        except ValueError as error:
            raise Refused(str(error)) from None
        return Envelope(name, at, unique_id, source, body)

    def with_body(self, body: dict[str, Any]) -> "Envelope":
        """Give the same message with another body."""
        return replace(self, body=body)

    def id(self, suffix: object) -> bytes:
        """Id of an event of this message: the message's own identity and the place in it."""
        return source_event_id(f"cfx/{self.source}", f"{self.unique_id}/{suffix}")

    def list(self, name: str) -> list[dict[str, Any]]:
        """Give a list of objects of the body.

        Raises
        ------
        Refused
            If it is none, or empty.
        """
        found = self.body.get(name)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Refused(f"cannot read {name}: got {shown(found)}, want a list of objects")
        if not found:
            raise Refused(f"cannot map message: got an empty list of {name}, want one at least")
        return found


@dataclass(frozen=True, slots=True)
class _Unit:
    id: str
    position: int | None
    status: str | None


def units_of(body: dict[str, Any]) -> list[_Unit]:
    """Give the units that a body names; the primary identifier alone is one unit.

    A unit without an id of its own is the carrier's or panel's, at a position.

    Raises
    ------
    Refused
        If the list of units has another shape.
    """
    primary, units = text(body.get("PrimaryIdentifier")), body.get("Units") or []
    if not isinstance(units, list) or not all(isinstance(unit, dict) for unit in units):
        raise Refused(f"cannot read Units: got {shown(units)}, want a list of objects")
    found = []
    for unit in units or [{}]:
        id_, position = text(unit.get("UnitIdentifier")) or primary, unit.get("PositionNumber")
        if id_ is not None:
            position = position if type(position) is int and abs(position) < 1 << 31 else None
            found.append(_Unit(id_, position, text(unit.get("Status"))))
    return found


def per_unit(envelope: Envelope, kind: str, found: Found) -> None:
    """Give one event per unit.

    Raises
    ------
    Refused
        If no unit is named.
    """
    body, primary = envelope.body, text(envelope.body.get("PrimaryIdentifier"))
    units = units_of(body)
    if not units and kind != "work_completed":
        raise Refused("cannot map message: got no unit, want a PrimaryIdentifier or Units")
    order = body.get("WorkOrderIdentifier")
    attributes = {k: v for k, v in body.items() if k not in {"Units", "PrimaryIdentifier"}}
    for index, unit in enumerate(units or [None]):
        own: dict[str, Any] = {}
        id_ = None if unit is None else unit.id
        position = None if unit is None else unit.position
        carrier = primary if primary != id_ else None
        verdict = None if unit is None or unit.status is None else unit.status
        if kind == "unit_created":
            own["order"] = text(order.get("WorkOrderId")) if isinstance(order, dict) else None
            own |= {"parent": carrier, "position": position}
        else:
            own |= {"station": envelope.source, "nest": text(position)}
        if kind in {"unit_arrived", "unit_departed"}:
            own["carrier"] = carrier
        if kind in {"unit_departed", "work_completed"}:
            own["verdict"] = None if verdict is None else _VERDICTS.get(verdict, verdict)
        elif verdict is not None:
            attributes = {**attributes, "Status": verdict}
        found.event(
            kind,
            envelope.time_ns,
            envelope.id(index),
            unit=id_,
            source=envelope.source,
            attributes=attributes,
            **own,
        )
