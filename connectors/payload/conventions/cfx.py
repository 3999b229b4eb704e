"""IPC-CFX: envelopes of stations, one or a list of them, to samples and events of the plant.

References
----------
IPC-2591, structures as in the public SDK (IPCConnectedFactoryExchange/CFX-Java).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from connectors.payload.conventions.cfx_units import Envelope, per_unit, units_of
from connectors.payload.conventions.vision import number, text
from connectors.payload.found import Found, Message
from connectors.payload.times import time_ns
from connectors.payload.values import Refused, canonical, shown
from connectors.settings import Table

_TRANSACTIONS_MAX = 100_000
_KEPT_BYTES_MAX = 16 << 10
_WORK_STARTED, _WORK_COMPLETED = "CFX.Production.WorkStarted", "CFX.Production.WorkCompleted"
_UNIT_KINDS = {
    "CFX.Production.UnitsInitialized": "unit_created",
    "CFX.Production.UnitsArrived": "unit_arrived",
    "CFX.Production.UnitsDeparted": "unit_departed",
    _WORK_STARTED: "work_started",
}
_RESULTS = {"Passed": "PASS", "Failed": "FAIL", "Pass": "PASS", "Fail": "FAIL"}


class Cfx:
    """What happens to units and materials are events; energy is samples.

    A completed work names its transaction only (until version 2): its units are those of the
    start, remembered for the last 100,000 transactions.
    """

    timed = True

    def __init__(self, table: Table) -> None:
        del table
        self._transactions: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    def map(self, message: Message, found: Found) -> None:
        """Map one envelope or a list of them, all or none."""
        body = message.json()
        started: list[tuple[tuple[str, str], dict[str, Any]]] = []
        for raw in body if isinstance(body, list) else [body]:
            envelope = Envelope.read(raw)
            if envelope.name in _UNIT_KINDS:
                per_unit(envelope, _UNIT_KINDS[envelope.name], found)
                if envelope.name == _WORK_STARTED:
                    started += _transaction(envelope)
            elif envelope.name == _WORK_COMPLETED:
                self._completed(envelope, dict(started), found)
            elif envelope.name in _OTHERS:
                _OTHERS[envelope.name](envelope, found)
            else:
                raise Refused(f"cannot map message: got {shown(envelope.name)}, no kind fits it")
        for key, kept in started:
            self._transactions[key] = kept
            self._transactions.move_to_end(key)
        while len(self._transactions) > _TRANSACTIONS_MAX:
            self._transactions.popitem(last=False)

    def _completed(
        self, envelope: Envelope, fresh: dict[tuple[str, str], dict[str, Any]], found: Found
    ) -> None:
        body = envelope.body
        key = (envelope.source, str(body.get("TransactionID")))
        kept = fresh.get(key, self._transactions.get(key))
        if not units_of(body):
            if kept is None:
                found.counts["cfx_starts_missing"] += 1
            else:
                envelope = envelope.with_body({**body, **kept})
        per_unit(envelope, "work_completed", found)


def _transaction(envelope: Envelope) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    transaction = text(envelope.body.get("TransactionID"))
    if transaction is None:
        return []
    named = ("PrimaryIdentifier", "Units")
    kept: dict[str, Any] = {key: envelope.body[key] for key in named if key in envelope.body}
    if len(canonical(kept)) > _KEPT_BYTES_MAX:
        raise Refused(f"cannot keep transaction: got more than {_KEPT_BYTES_MAX} bytes of units")
    return [((envelope.source, transaction), kept)]


def _energy(envelope: Envelope, found: Found) -> None:
    """Give the numbers of the interval at its end."""
    body = dict(envelope.body)
    end, _ = body.pop("EndTime", None), body.pop("StartTime", None)
    at = envelope.time_ns if end is None else _iso(end)
    body.pop("$type", None)
    found.fields(f"{envelope.source}/energy", body, at)


def _station_state(envelope: Envelope, found: Found) -> None:
    body = envelope.body
    state = text(body.get("NewState"))
    if state is None:
        raise Refused(f"cannot read NewState: got {shown(body.get('NewState'))}, want a state")
    fault = body.get("RelatedFault")
    found.event(
        "station_state",
        envelope.time_ns,
        envelope.id(""),
        station=envelope.source,
        source=envelope.source,
        state=state,
        reason=text(fault.get("FaultCode")) if isinstance(fault, dict) else None,
        attributes={k: v for k, v in body.items() if k != "NewState"},
    )


def _loaded(envelope: Envelope, found: Found) -> None:
    for index, one in enumerate(envelope.list("Materials")):
        package = one.get("MaterialPackage")
        lot = text(package.get("UniqueIdentifier")) if isinstance(package, dict) else None
        if not isinstance(package, dict) or lot is None:
            raise Refused(f"cannot read MaterialPackage: got {shown(package)}, want an identifier")
        found.event(
            "material_loaded",
            envelope.time_ns,
            envelope.id(index),
            lot=lot,
            part=text(package.get("InternalPartNumber")),
            supplier_lot=text(package.get("ManufacturerLotCode")),
            station=envelope.source,
            source=envelope.source,
            slot=text(one.get("LocationIdentifier")) or text(one.get("LocationName")),
            quantity=number(package.get("Quantity")),
            attributes={
                "location": one.get("LocationName"),
                "carrier": one.get("CarrierInformation"),
            },
        )


def _unloaded(envelope: Envelope, found: Found) -> None:
    packages = envelope.body.get("MaterialPackageIdentifiers")
    if not isinstance(packages, list):
        got = shown(packages)
        raise Refused(f"cannot read MaterialPackageIdentifiers: got {got}, want a list")
    for index, raw in enumerate(packages):
        lot = text(raw)
        if lot is None:
            raise Refused(f"cannot read MaterialPackageIdentifiers: got {shown(raw)}, want text")
        found.event(
            "material_unloaded",
            envelope.time_ns,
            envelope.id(index),
            lot=lot,
            station=envelope.source,
            source=envelope.source,
        )


def _installed(envelope: Envelope, found: Found) -> None:
    for index, one in enumerate(envelope.list("InstalledMaterials")):
        material, place = one.get("Material"), one.get("CarrierLocation")
        unit, position = text(one.get("UnitIdentifier")), one.get("UnitPositionNumber")
        if not isinstance(material, dict) or unit is None:
            got = f"unit {shown(one.get('UnitIdentifier'))}, material {shown(material)}"
            raise Refused(f"cannot read InstalledMaterials: got {got}, want both")
        place = place if isinstance(place, dict) else {}
        found.event(
            "material_consumed",
            envelope.time_ns,
            envelope.id(index),
            unit=unit,
            lot=text(material.get("UniqueIdentifier")),
            part=text(material.get("InternalPartNumber")),
            station=envelope.source,
            source=envelope.source,
            slot=text(place.get("LocationIdentifier")),
            quantity=number(one.get("QuantityInstalled")),
            position=position if type(position) is int else None,
            attributes={
                "TransactionId": envelope.body.get("TransactionId"),
                "InstalledComponents": one.get("InstalledComponents"),
                "NonInstalledComponents": one.get("NonInstalledComponents"),
            },
        )


def _tested(envelope: Envelope, found: Found) -> None:
    """Give one event per measurement, or per test that measured nothing."""
    for index, unit in enumerate(envelope.list("TestedUnits")):
        serial = text(unit.get("UnitIdentifier"))
        if serial is None:
            raise Refused(f"cannot read TestedUnits: got {shown(unit)}, want a UnitIdentifier")
        for place, test in enumerate(_objects(unit, "Tests")):
            measured: list[dict[str, Any]] = _objects(test, "Measurements")
            for nth, one in enumerate(measured or [{}]):
                _measured(envelope, f"{index}/{place}/{nth}", (serial, test, one), found)


def _measured(
    envelope: Envelope, suffix: str, what: tuple[str, dict[str, Any], dict[str, Any]], found: Found
) -> None:
    serial, test, one = what
    value = one.get("MeasuredValue")
    value = value if isinstance(value, dict) else {"Value": value}
    verdict = text(one.get("Result")) or text(test.get("Result"))
    found.event(
        "test_result",
        envelope.time_ns,
        envelope.id(suffix),
        unit=serial,
        station=envelope.source,
        source=envelope.source,
        test=text(one.get("MeasurementName")) or text(test.get("TestName")),
        verdict=_RESULTS.get(verdict, verdict) if verdict else None,
        value=number(value.get("Value")),
        eng_unit=text(value.get("ValueUnits")),
        low=number(value.get("MinimumAcceptableValue")),
        high=number(value.get("MaximumAcceptableValue")),
        attributes={
            "TransactionId": envelope.body.get("TransactionId"),
            "test": {k: v for k, v in test.items() if k != "Measurements"},
            "measurement": one or None,
        },
    )


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Refused(f"cannot read {name}: got {shown(found)}, want a list of objects")
    return found


def _iso(raw: object) -> int:
    try:
        return time_ns(raw, "iso")
    except ValueError as error:
        raise Refused(str(error)) from None


_OTHERS: dict[str, Callable[[Envelope, Found], None]] = {
    "CFX.ResourcePerformance.EnergyConsumed": _energy,
    "CFX.ResourcePerformance.StationStateChanged": _station_state,
    "CFX.Materials.Storage.MaterialsLoaded": _loaded,
    "CFX.Materials.Storage.MaterialsUnloaded": _unloaded,
    "CFX.Production.Assembly.MaterialsInstalled": _installed,
    "CFX.Production.TestAndInspection.UnitsTested": _tested,
}
