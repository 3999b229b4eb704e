"""IPC-CFX: units, materials, tests and energy of stations, as the SDK's structures have them."""

import json

import pytest

from connectors.payload.testing import map_messages, new_mapper, send

CFX = {"topic": "cfx/#", "kind": "cfx"}
AT = 1_795_348_376_174_000_000
STATION = "SMTPlus.Model_21232.SN23123"


def told(name, body, unique_id="9c2fa1b4-0001", **more):
    """An envelope."""
    return {
        "MessageName": f"CFX.{name}",
        "Version": "2.1",
        "TimeStamp": "2026-11-22T12:52:56.1740000+01:00",
        "UniqueID": unique_id,
        "Source": STATION,
        "Target": None,
        "RequestID": None,
        "MessageBody": body,
        **more,
    }


def mapped(*envelopes):
    """Each in a message of its own."""
    return map_messages(CFX, *(("cfx/line1", envelope) for envelope in envelopes))


UNITS = [
    {"UnitIdentifier": "B1", "PositionNumber": 1, "PositionName": "CIRCUIT1", "X": 0.254},
    {"UnitIdentifier": "B2", "PositionNumber": 2, "Status": "Fail"},
]
STARTED = told(
    "Production.WorkStarted",
    {"PrimaryIdentifier": "PANEL34543535", "TransactionID": "2c24590d", "Lane": 1, "Units": UNITS},
)
COMPLETED = told(
    "Production.WorkCompleted", {"TransactionID": "2c24590d", "Result": "Completed"}, "9c2fa1b4-2"
)


def test_energy_is_samples_at_the_end_of_its_interval():
    """It is what was used in the interval, not a register."""
    body = {
        "StartTime": "2026-11-22T12:47:56.1740000+01:00",
        "EndTime": "2026-11-22T12:52:50.1740000+01:00",
        "EnergyUsed": 0.012,
        "PowerNow": 124.6,
        "CurrentNowRYB": [0.1, 0.2, 0.3],
        "PeakVoltage": None,
    }

    found = mapped(told("ResourcePerformance.EnergyConsumed", body))

    assert {AT - 6_000_000_000} == {at for _, at, _, _ in found.sink.rows()}
    assert {
        f"{STATION}/energy/EnergyUsed": 0.012,
        f"{STATION}/energy/PowerNow": 124.6,
        f"{STATION}/energy/CurrentNowRYB.0": 0.1,
        f"{STATION}/energy/CurrentNowRYB.1": 0.2,
        f"{STATION}/energy/CurrentNowRYB.2": 0.3,
        f"{STATION}/energy/PeakVoltage": None,
    } == found.values


def test_arrival_and_departure_are_an_event_per_unit():
    """A unit is itself on a carrier, or the carrier at a position."""
    body = {"PrimaryIdentifier": "CARRIER2342", "UnitCount": 2, "Units": UNITS, "Lane": 1}
    found = mapped(
        told("Production.UnitsArrived", body),
        told("Production.UnitsDeparted", body, "2"),
        told("Production.UnitsArrived", {"PrimaryIdentifier": "B9", "Units": None}, "3"),
        told(
            "Production.UnitsArrived",
            {"PrimaryIdentifier": "C1", "Units": [{"PositionNumber": 4}]},
            "4",
        ),
    )

    assert [
        ("B1", "1", "CARRIER2342"),
        ("B2", "2", "CARRIER2342"),
        ("B9", None, None),
        ("C1", "4", None),
    ] == [(e["unit"], e.get("nest"), e.get("carrier")) for e in found.of_kind("unit_arrived")]
    assert [None, "FAIL"] == [e.get("verdict") for e in found.of_kind("unit_departed")]
    assert {(AT, STATION)} == {
        (e["timestamp_ns"], e["station"]) for e in found.of_kind("unit_arrived")
    }


def test_units_are_born_with_their_order():
    """And with the panel they are a part of."""
    body = {
        "PrimaryIdentifier": "PANEL1",
        "WorkOrderIdentifier": {"WorkOrderId": "WO1122334455", "Batch": None},
        "Units": UNITS,
    }

    first, second = mapped(told("Production.UnitsInitialized", body)).of_kind("unit_created")

    assert ("B1", "WO1122334455", "PANEL1", 1) == tuple(
        first[name] for name in ("unit", "order", "parent", "position")
    )
    assert second["unit"] == "B2"


def test_completed_work_is_that_of_its_transaction():
    """The end of the work names no units (version 1): those of the start are meant."""
    found = mapped(STARTED, COMPLETED)

    assert ["B1", "B2"] == [e["unit"] for e in found.of_kind("work_started")]
    assert [("B1", None), ("B2", "FAIL")] == [
        (e["unit"], e.get("verdict")) for e in found.of_kind("work_completed")
    ]
    attributes = json.loads(found.of_kind("work_completed")[0]["attributes"])
    assert ("2c24590d", "Completed") == (attributes["TransactionID"], attributes["Result"])


def test_a_list_of_envelopes_maps_as_its_entries_do():
    """Start and end in one list know each other too; a redelivery has the same ids."""
    one, two = map_messages(CFX, ("cfx/a", [STARTED, COMPLETED])), mapped(STARTED, COMPLETED)

    for kind in ("work_started", "work_completed"):
        assert one.of_kind(kind) == two.of_kind(kind) != []


def test_work_whose_start_nobody_saw_is_told_without_a_unit():
    """Counted; the transaction is in its attributes."""
    found = mapped(COMPLETED)

    (event,) = found.of_kind("work_completed")
    assert "unit" not in event
    assert "2c24590d" in event["attributes"]
    assert {"cfx_starts_missing": 1} == found.counts


def test_transactions_are_bounded(monkeypatch):
    """The oldest are forgotten."""
    monkeypatch.setattr("connectors.payload.conventions.cfx._TRANSACTIONS_MAX", 1)
    mapper = new_mapper(CFX)
    later = json.loads(json.dumps(STARTED))
    later["MessageBody"]["TransactionID"] = "other"

    found = send(mapper, [("cfx/a", STARTED), ("cfx/a", later), ("cfx/a", COMPLETED)])

    assert {"cfx_starts_missing": 1} == found.counts


def test_materials_at_slots_and_in_units():
    """Loaded, unloaded, installed with their lots."""
    package = {
        "UniqueIdentifier": "MAT4566554543",
        "InternalPartNumber": "IPN45577",
        "Quantity": 887.0,
    }
    found = mapped(
        told(
            "Materials.Storage.MaterialsLoaded",
            {
                "Materials": [
                    {
                        "LocationIdentifier": "UID384234893",
                        "LocationName": "SLOT45",
                        "MaterialPackage": package,
                        "CarrierInformation": {"UniqueIdentifier": "1233334"},
                    }
                ]
            },
        ),
        told(
            "Materials.Storage.MaterialsUnloaded",
            {"MaterialPackageIdentifiers": ["MAT4566554543"]},
            "2",
        ),
        told(
            "Production.Assembly.MaterialsInstalled",
            {
                "TransactionId": "t",
                "InstalledMaterials": [
                    {
                        "UnitIdentifier": "B1",
                        "UnitPositionNumber": 1,
                        "QuantityInstalled": 3,
                        "Material": package,
                        "CarrierLocation": {"LocationIdentifier": "UID384234893"},
                        "InstalledComponents": [{"ReferenceDesignator": "R1"}],
                    }
                ],
            },
            "3",
        ),
    )

    (loaded,), (unloaded,) = found.of_kind("material_loaded"), found.of_kind("material_unloaded")
    (consumed,) = found.of_kind("material_consumed")
    assert ("MAT4566554543", "IPN45577", "UID384234893", 887.0) == tuple(
        loaded[name] for name in ("lot", "part", "slot", "quantity")
    )
    assert unloaded["lot"] == "MAT4566554543"
    assert ("B1", "MAT4566554543", 3.0, 1) == tuple(
        consumed[name] for name in ("unit", "lot", "quantity", "position")
    )


def test_each_measurement_of_a_test_is_a_result():
    """The station's own verdict is kept, whatever the limits say."""
    body = {
        "TransactionId": "t",
        "TestedUnits": [
            {
                "UnitIdentifier": "B1",
                "OverallResult": "Failed",
                "Tests": [
                    {
                        "TestName": "RESISTANCE",
                        "Result": "Failed",
                        "Measurements": [
                            {
                                "MeasurementName": "R1",
                                "Result": "Passed",
                                "MeasuredValue": {
                                    "Value": 28.52,
                                    "ValueUnits": "kOhm",
                                    "MinimumAcceptableValue": 28.0,
                                    "MaximumAcceptableValue": 28.4,
                                },
                            }
                        ],
                    },
                    {"TestName": "VISUAL", "Result": "Passed", "Measurements": []},
                ],
            }
        ],
    }

    first, second = mapped(told("Production.TestAndInspection.UnitsTested", body)).of_kind(
        "test_result"
    )

    assert ("B1", "R1", "PASS", 28.52, "kOhm", 28.0, 28.4) == tuple(
        first[name] for name in ("unit", "test", "verdict", "value", "eng_unit", "low", "high")
    )
    assert ("VISUAL", "PASS") == (second["test"], second["verdict"])


def test_the_state_of_a_station():
    """With the fault behind it."""
    body = {
        "OldState": "ReadyProcessingActive",
        "NewState": "USD_Repair",
        "RelatedFault": {"FaultCode": "E17"},
    }

    (event,) = mapped(told("ResourcePerformance.StationStateChanged", body)).of_kind(
        "station_state"
    )

    assert ("USD_Repair", "E17", STATION) == (event["state"], event["reason"], event["station"])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (told("ResourcePerformance.FaultOccurred", {}), "no kind fits"),
        (told("Production.UnitsArrived", {"Units": []}), "no unit"),
        (told("Production.UnitsArrived", {"Units": {"a": 1}}), "list of objects"),
        (told("Production.UnitsArrived", None), "MessageBody"),
        (told("Production.WorkStarted", {}, TimeStamp="noon"), "cannot read time"),
        (told("Materials.Storage.MaterialsLoaded", {"Materials": []}), "empty list"),
        (told("ResourcePerformance.EnergyConsumed", {"EndTime": 5}), "cannot read time"),
        ([STARTED, told("X.Y", {})], "no kind fits"),
        ("text", "want an object"),
    ],
)
def test_what_no_kind_fits_is_refused_whole(body, word):
    """A list with one unknown message is refused as a whole: it can be mapped later."""
    found = mapped(body)

    assert word in found.rejects[0].reason
    assert found.sink.batches == []
