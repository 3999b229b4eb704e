"""Meters of Shelly and Tasmota: values as such, times as the devices can tell them."""

import pytest

from connectors.connector import ConfigError
from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper
from storage_engine.sample import BAD_NO_DATA

SHELLY = {"topic": "#", "kind": "shelly"}
TASMOTA = {"topic": "#", "kind": "tasmota"}
HOUR_NS = 3_600 * 1_000_000_000

NOTIFY = {
    "src": "shellypro3em-3494546e1b7c",
    "dst": "plant/shellypro3em-3494546e1b7c/events",
    "method": "NotifyStatus",
    "params": {
        "ts": 1795348376.17,
        "em:0": {
            "id": 0,
            "a_act_power": 712.4,
            "a_errors": ["power_meter_failure"],
            "n_current": None,
        },
        "emdata:0": {"id": 0, "total_act": 4203.51, "total_act_ret": 0},
        "switch:0": {"id": 0, "output": True, "aenergy": {"by_minute": [1.5, 2.5], "total": 11.5}},
    },
}


def test_a_notification_of_a_shelly_has_its_changed_fields_at_its_time():
    """Counters stay in Wh, lists of errors are one value, null is a bad one."""
    mapped = map_messages(SHELLY, ("plant/shelly1/events/rpc", NOTIFY))

    assert {
        "plant/shelly1/em:0/a_act_power": 712.4,
        "plant/shelly1/em:0/a_errors": "power_meter_failure",
        "plant/shelly1/em:0/n_current": None,
        "plant/shelly1/emdata:0/total_act": 4203.51,
        "plant/shelly1/emdata:0/total_act_ret": 0.0,
        "plant/shelly1/switch:0/output": True,
        "plant/shelly1/switch:0/aenergy.by_minute.0": 1.5,
        "plant/shelly1/switch:0/aenergy.by_minute.1": 2.5,
        "plant/shelly1/switch:0/aenergy.total": 11.5,
    } == mapped.values
    assert {1_795_348_376_170_000_000} == {at for _, at, _, _ in mapped.sink.rows()}
    assert {0, BAD_NO_DATA} == {quality for _, _, quality, _ in mapped.sink.rows()}


def test_states_and_the_last_will_of_a_shelly_are_of_the_time_of_receipt():
    """They carry none of their own."""
    state = {"id": 0, "current": 4.05, "voltage": 229.8, "act_power": 912.2, "pf": 0.98, "freq": 50}

    mapped = map_messages(SHELLY, ("shelly1/status/em1:0", state), ("shelly1/online", b"false"))

    assert mapped.values["shelly1/em1:0/act_power"] == 912.2
    assert mapped.values["shelly1/online"] is False
    assert "shelly1/em1:0/id" not in mapped.values
    assert {RECEIVED_NS} == {at for _, at, _, _ in mapped.sink.rows()}


def test_a_shelly_that_does_not_know_the_time_is_believed_its_values():
    """Before it met a time server its clock counts from 1970."""
    body = {**NOTIFY, "params": {"ts": 12.5, "em1:0": {"act_power": 5}}}

    mapped = map_messages(SHELLY, ("s/events/rpc", body))

    assert [("s/em1:0/act_power", RECEIVED_NS, 0, 5.0)] == mapped.sink.rows()
    assert {"clock_not_set": 1} == mapped.counts


@pytest.mark.parametrize(
    ("topic", "body", "word"),
    [
        (
            "s/events/rpc",
            {"method": "NotifyEvent", "params": {"ts": 1, "events": []}},
            "NotifyEvent",
        ),
        ("s/events/rpc", {"method": "NotifyStatus"}, "params"),
        ("s/events/rpc", {"method": "NotifyStatus", "params": {"ts": None}}, "cannot read time"),
        ("s/events/rpc", {"method": "NotifyStatus", "params": {"ts": 1e9, "x": 5}}, "object"),
        ("s/online", b"maybe", "true or false"),
        ("s/command", b"update", "ends in"),
    ],
)
def test_other_messages_of_a_shelly_are_refused(topic, body, word):
    """Button events have no kind of event here; they wait in the quarantine."""
    mapped = map_messages(SHELLY, (topic, body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.rows() == []


SENSOR = {
    "Time": "2026-11-22T12:52:56",
    "ENERGY": {
        "TotalStartTime": "2024-01-01T00:00:00",
        "Total": 1204.512,
        "Power": [310, 290, 305],
        "Factor": 0.97,
    },
    "DS18B20": {"Id": "01144A0CB2AA", "Temperature": 22.6},
    "TempUnit": "C",
}


def test_telemetry_of_a_tasmota_is_in_the_time_of_its_zone():
    """It writes local time without a zone; several phases are a list."""
    mapped = map_messages({**TASMOTA, "timezone": "Europe/Berlin"}, ("tele/meter1/SENSOR", SENSOR))

    assert {1_795_348_376_000_000_000} == {at for _, at, _, _ in mapped.sink.rows()}
    assert {
        "meter1/ENERGY/TotalStartTime": "2024-01-01T00:00:00",
        "meter1/ENERGY/Total": 1204.512,
        "meter1/ENERGY/Power.0": 310.0,
        "meter1/ENERGY/Power.1": 290.0,
        "meter1/ENERGY/Power.2": 305.0,
        "meter1/ENERGY/Factor": 0.97,
        "meter1/DS18B20/Id": "01144A0CB2AA",
        "meter1/DS18B20/Temperature": 22.6,
        "meter1/TempUnit": "C",
    } == mapped.values


@pytest.mark.parametrize(
    ("text", "hours"),
    [("2026-11-22T11:52:56", 0), ("2026-11-22T12:52:56+01:00", 0), ("2026-11-22T11:52:56Z", 0)],
)
def test_without_a_zone_a_tasmota_is_in_utc_and_a_written_offset_wins(text, hours):
    """The default, and what newer firmware can write."""
    mapped = map_messages(TASMOTA, ("tele/m/STATE", {"Time": text, "Uptime": "0T01:00:00"}))

    assert [1_795_348_376_000_000_000 + hours * HOUR_NS] == [r[1] for r in mapped.sink.rows()]


@pytest.mark.parametrize(
    ("received", "expected"),
    # clocks went back at 01:00 UTC on 2026-10-25: 02:30 was twice
    [(1_792_888_210, 1_792_888_200), (1_792_891_810, 1_792_891_800)],
)
def test_an_hour_that_was_twice_is_the_one_nearest_to_the_receipt(received, expected):
    """Else an hour of each year would lie on top of another."""
    body = {"Time": "2026-10-25T02:30:00", "ENERGY": {"Power": 1}}

    mapped = map_messages(
        {**TASMOTA, "timezone": "Europe/Berlin"},
        ("tele/m/SENSOR", body),
        received_ns=received * 1_000_000_000,
    )

    assert [expected * 1_000_000_000] == [row[1] for row in mapped.sink.rows()]


def test_power_results_and_the_last_will_of_a_tasmota():
    """ON and OFF are true and false, Offline is a value too; the order of prefixes may differ."""
    mapped = map_messages(
        TASMOTA,
        ("stat/plug/POWER1", b"ON"),
        ("stat/plug/RESULT", {"POWER2": "OFF"}),
        ("hall/plug/tele/LWT", b"Offline"),
        ("stat/m/STATUS8", {"StatusSNS": {"Time": "1970-01-01T00:00:09", "ENERGY": {"Power": 4}}}),
    )

    assert {
        "plug/POWER1": True,
        "plug/POWER2": False,
        "hall/plug/online": False,
        "m/ENERGY/Power": 4.0,
    } == mapped.values
    assert {"clock_not_set": 1} == mapped.counts


@pytest.mark.parametrize(
    ("topic", "body", "word"),
    [
        ("cmnd/plug/POWER", b"ON", "tele or stat"),
        ("tele/SENSOR", SENSOR, "want a device"),
        ("tele/m/LWT", b"Gone", "Online or Offline"),
        ("tele/m/SENSOR", {"Time": 5}, "cannot read time"),
        ("tele/m/SENSOR", {"A": [[1]]}, "lists in lists"),
    ],
)
def test_other_messages_of_a_tasmota_are_refused(topic, body, word):
    """By name, not silently."""
    mapped = map_messages(TASMOTA, (topic, body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.rows() == []


def test_a_zone_that_nobody_knows_is_a_wrong_setting():
    """Better no source than one that is hours off."""
    with pytest.raises(ConfigError, match="timezone"):
        new_mapper({**TASMOTA, "timezone": "Europe/Aachen"})
