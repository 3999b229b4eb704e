"""replay: recordings are read as they are, and the comparison sees every difference."""

import asyncio
import gzip
import tomllib
from pathlib import Path

import pytest
import zstandard

from connectors.connector import ConfigError
from connectors.mqtt.config import read_config
from connectors.replay.mqtt_player import mqtt_settings
from connectors.replay.pace import Pace
from connectors.replay.recording import Item, find_recording
from connectors.replay.shdr import ShdrRecording, ShdrTime
from connectors.replay.skab import SkabRecording
from historian.config import load_config
from historian.replay_collector import NAME, collector_config
from historian.replay_compare import (
    Held,
    Sample,
    differences,
    expected_newest,
    expected_revisions,
)
from storage_engine.sample import BAD_NO_COMMUNICATION, ValueType

S = 1_000_000_000
LOG = """\
2017-05-01T10:25:03.4693962Z|Feed|12.5
2002-01-01T04:11:02.7968750Z|Feed|UNAVAILABLE
2017-05-01T10:25:03.4693962Z|mode|AUTOMATIC
2017-05-01T10:25:04.000Z|servo|FAULT|007|2||overheat: "A|B"
2017-05-01T10:25:04.000Z|comment|
2017-05-01T10:25:05.000Z|comment|a\rb\x0cc
2017-05-01T10:25:06.000Z|gone|UNAVAILABLE
2017-05-01T10:25:06.000Z|Feed|-1e3
2017-05-01T10:25:06.000Z|path|1 2 3
"""


@pytest.fixture
def log(tmp_path: Path) -> ShdrRecording:
    folder = tmp_path / "nist_smstestbed"
    folder.mkdir()
    path = folder / "Mill-201705.shdr.txt.zst"
    path.write_bytes(zstandard.compress(LOG.encode()))
    return ShdrRecording(find_recording(tmp_path, "nist_smstestbed/Mill-201705"))


def test_an_item_is_double_when_all_its_values_are_numbers(log: ShdrRecording) -> None:
    """What is never available, and what is once no number, is text."""
    assert log.items == (
        Item("Feed", ValueType.FLOAT64),
        Item("mode", ValueType.SYMBOL),
        Item("servo", ValueType.SYMBOL),
        Item("comment", ValueType.SYMBOL),
        Item("gone", ValueType.SYMBOL),
        Item("path", ValueType.SYMBOL),
    )


def test_rows_are_those_of_the_file_in_its_order(log: ShdrRecording) -> None:
    """Late ones late, conditions whole, empty text as text, carriage returns inside."""
    may = 1_493_634_300 * S
    assert list(log.rows()) == [
        (0, may + 3_469_396_200, 0, 12.5),
        (0, 1_009_858_262_796_875_000, BAD_NO_COMMUNICATION, None),
        (1, may + 3_469_396_200, 0, "AUTOMATIC"),
        (2, may + 4 * S, 0, 'FAULT|007|2||overheat: "A|B"'),
        (3, may + 4 * S, 0, ""),
        (3, may + 5 * S, 0, "a\rb\x0cc"),
        (4, may + 6 * S, BAD_NO_COMMUNICATION, None),
        (0, may + 6 * S, 0, -1000.0),
        (5, may + 6 * S, 0, "1 2 3"),
    ]
    assert log.row_count == 9


@pytest.mark.parametrize("text", ["2017-05-01 10:25:03Z", "2017-05-01T10:25:03", "soon", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """A wrong time would be stored where nobody looks for it."""
    with pytest.raises(ValueError, match="cannot read time"):
        ShdrTime().read(text)


def test_unknown_recording_is_named(tmp_path: Path) -> None:
    """The error says what was asked and where it was looked for."""
    with pytest.raises(ConfigError, match="Mill-209901"):
        find_recording(tmp_path, "Mill-209901")


def test_messages_of_skab_carry_the_rows(tmp_path: Path) -> None:
    """One JSON message per row; a file without labels has eight values."""
    folder = tmp_path / "skab"
    folder.mkdir()
    names = "Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple"
    head = f"datetime;{names};Voltage;Volume Flow RateRMS"
    for file, text in (
        ("a_1", f"{head}\n2020-02-08 13:30:47;1;2;3;4;5;6;7;8.5\n"),
        ("b_2", f"{head};anomaly;changepoint\n2020-02-08 13:30:48;1;2;3;4;5;6;7;8;0.0;1.0\n"),
    ):
        (folder / f"{file}.csv.gz").write_bytes(gzip.compress(text.encode()))
    recording = SkabRecording(find_recording(tmp_path, "skab"))

    messages = list(recording.messages())
    rows = list(recording.rows())

    assert recording.message_count == 2
    assert ["skab/skab/a_1", "skab/skab/b_2"] == [topic for _, topic, _ in messages]
    assert b'"ts":"2020-02-08T13:30:47Z"' in messages[0][2]
    assert b'"Volume Flow RateRMS":8.5' in messages[0][2]
    assert len(rows) == recording.row_count == 18
    assert rows[7] == (7, 1_581_168_647 * S, 0, 8.5)
    assert rows[-1] == (9, 1_581_168_648 * S, 0, 1.0)


def test_settings_of_the_mqtt_source_are_valid() -> None:
    """The connector refuses what it does not know."""
    assert read_config("replay", mqtt_settings(1883)).broker.subscriptions[0].qos == 1


def test_collector_configuration_is_read_back(tmp_path: Path) -> None:
    """Written by hand, so it must survive quotes, spaces and nested lists."""
    folder = tmp_path / 'a "b" \\ c'
    folder.mkdir()
    settings = {"url": "opc.tcp://h:1/", "browse": [{"root": "i=85"}], "deep": {"a": [1, True]}}
    text = collector_config(folder, "http://h:2", tmp_path / "token", {"s": ("opcua", settings)})
    file = folder / "collector.toml"
    file.write_text(text)

    collector = load_config(file).collector(NAME)

    assert collector is not None
    assert collector.spool_path == folder / "spool"
    assert collector.server_url == "http://h:2"
    assert collector.sources[0].settings == settings
    assert tomllib.loads(text)["sources"][0]["kind"] == "opcua"


PLAYED: list[Sample] = [
    (1, 0, 1.0),
    (3, 0, 3.0),
    (2, 0, 2.0),
    (3, 0, 3.0),  # sent again
    (2, 0, 2.5),  # written again
    (4, 1 << 31, None),
]
KEPT: list[Sample] = [(1, 0, 1.0), (2, 0, 2.0), (2, 0, 2.5), (3, 0, 3.0), (4, 1 << 31, None)]
NEWEST: list[Sample] = [(1, 0, 1.0), (2, 0, 2.5), (3, 0, 3.0), (4, 1 << 31, None)]


def test_equal_samples_are_kept_once_and_different_ones_as_revisions() -> None:
    """By time, and in order of arrival within a time."""
    assert expected_revisions(PLAYED) == KEPT
    assert expected_newest(PLAYED) == NEWEST
    assert differences("x", PLAYED, Held(KEPT, NEWEST, ())) == ()


@pytest.mark.parametrize(
    ("revisions", "newest", "said"),
    [
        (KEPT[1:], NEWEST, "1 missing"),
        ([*KEPT, (9, 0, 9.0)], NEWEST, "1 too many"),
        ([KEPT[0], *KEPT], NEWEST, "1 too many"),
        ([KEPT[0], KEPT[2], KEPT[1], *KEPT[3:]], NEWEST, "order"),
        ([*KEPT[:-1], (4, 0, None)], NEWEST, "1 missing"),
        ([(1, 0, 1), *KEPT[1:]], NEWEST, "int"),
        (KEPT, [NEWEST[0], (2, 0, 2.0), *NEWEST[2:]], "plain read"),
    ],
)
def test_every_kind_of_difference_is_said(
    revisions: list[Sample], newest: list[Sample], said: str
) -> None:
    """Lost, invented, doubled, turned, other quality, other type, older revision shown."""
    found = differences("x", PLAYED, Held(revisions, newest, ()))

    assert any(said in text for text in found)


def test_negative_zero_is_not_zero() -> None:
    """Equality is bit by bit, as in the store."""
    assert differences("x", [(1, 0, -0.0)], Held([(1, 0, 0.0)], [(1, 0, 0.0)], ()))


class ManualClock:
    """Time that stands unless told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ns(self) -> int:
        return int(self.seconds * S)

    def monotonic_s(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


def test_pace_follows_recorded_time_and_survives_clocks_that_fall_back() -> None:
    """A fall to 2002 costs nothing, and neither does the way back; a hole costs a minute."""
    pace = Pace(ManualClock(), 2.0)

    ahead = [pace.ahead_s(t * S) for t in (1000, 1010, 1010, 1004, 1020, 5, 1030, 9_000)]

    assert ahead[:5] == [0.0, 5.0, 5.0, 5.0, 10.0]
    assert ahead[5] == 10.0
    assert ahead[6] == pytest.approx(10.0 + 30.0)
    assert ahead[7] == pytest.approx(40.0 + 30.0)


def test_flat_out_never_waits() -> None:
    """Speed None is as fast as the server takes it."""
    pace = Pace(ManualClock(), None)

    assert [0.0, 0.0] == [pace.ahead_s(0), pace.ahead_s(10**18)]
