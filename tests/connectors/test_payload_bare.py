"""Bare values: one topic, one value, as sensors, Homie and switches publish them."""

import pytest

from connectors.connector import ConfigError
from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper
from storage_engine.sample import BAD_NO_DATA

BARE = {"topic": "#", "kind": "values"}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21.4", 21.4),
        (b" 21.4\n", 21.4),
        (b"+.5", 0.5),
        (b"-7", -7.0),
        (b"3.", 3.0),
        (b"true", True),
        (b"false", False),
        (b"RUN", "RUN"),
        (b"21,4", "21,4"),
        ("übertemperatur".encode(), "übertemperatur"),
        (b'"quoted"', "quoted"),
        (b"null", None),
        (b"100000000000000000000", 1e20),
    ],
)
def test_a_payload_is_one_value_at_the_time_of_receipt(payload, value):
    """Numbers are numbers however written; words are states."""
    mapped = map_messages(BARE, ("line/press/temp", payload))

    status = BAD_NO_DATA if value is None else 0
    assert [("line/press/temp", RECEIVED_NS, status, value)] == mapped.sink.rows()
    assert mapped.rejects == ()


def test_words_mean_what_the_mapping_says():
    """A relay says ON and OFF, a door says open and closed."""
    mapping = {**BARE, "words": {"ON": True, "OFF": False, "closed": 0, "0": "off"}}

    mapped = map_messages(
        mapping, ("a", b"ON"), ("b", b"OFF"), ("c", b"closed"), ("d", b"0"), ("e", b'"ON"')
    )

    assert {"a": True, "b": False, "c": 0.0, "d": "off", "e": True} == mapped.values


def test_a_list_has_an_address_per_position():
    """Arrays of bare values, if the address says where the position goes."""
    mapping = {**BARE, "address": "{topic[0]}/{key}"}

    assert {"axis/0": 1.0, "axis/1": 2.5} == map_messages(mapping, ("axis/pos", b"[1, 2.5]")).values
    assert "want one" in map_messages(BARE, ("axis/pos", b"[1, 2.5]")).rejects[0].reason


def test_a_type_keeps_digits_as_text():
    """A serial number is not a number."""
    mapped = map_messages({**BARE, "type": "text"}, ("reader/code", b"00420000000000000001"))

    assert {"reader/code": "00420000000000000001"} == mapped.values


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "nothing"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": 1}', "want a number or a word"),
        (b"[1]", "{key}"),
        (b"1e999", "float64"),
        (b"9007199254740993", "float64"),
        (b"x" * 1_001, "1000"),
    ],
)
def test_what_is_no_value_is_refused(payload, word):
    """Nothing is rounded, cut or guessed."""
    mapped = map_messages(BARE, ("a/b", payload))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.rows() == []


def test_retained_bare_values_have_no_time():
    """A connector must not take them for new samples."""
    assert not new_mapper(BARE).has_time("a")


@pytest.mark.parametrize(
    "wrong",
    [{"address": "{tag}"}, {"type": "float"}, {"words": {"A": []}}, {"time": {"path": "ts"}}],
)
def test_wrong_settings_are_refused(wrong):
    """A misspelt setting stops the source at once, not at the first message."""
    with pytest.raises(ConfigError):
        new_mapper({**BARE, **wrong})
