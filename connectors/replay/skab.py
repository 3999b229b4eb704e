"""SKAB: the water circulation rig, CSV files with a row per second; one JSON message per row."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from connectors.replay.recording import Item
from connectors.simulator.node import Row
from storage_engine.sample import GOOD, ValueType

TOPIC = "skab"
_VALUES = (
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)
_LABELS = ("anomaly", "changepoint")


class SkabRecording:
    """All files of a folder, or one file. Eight tags and two labels, shared by all files.

    Parameters
    ----------
    path : Path
        The folder, or one ``.csv.gz``. Files are played in order of name; some of their times
        overlap, with equal values.
    """

    def __init__(self, path: Path) -> None:
        self._files = tuple(sorted(path.glob("*.csv.gz"))) if path.is_dir() else (path,)
        self.name = "skab" if path.is_dir() else f"skab-{_stem(path)}"
        self.items = tuple(Item(name, ValueType.FLOAT64) for name in (*_VALUES, *_LABELS))
        self.row_count = sum(len(values) for _, _, values in self._records())
        self.message_count = sum(1 for _ in self._records())

    def _records(self) -> Iterator[tuple[str, str, dict[str, float]]]:
        for path in self._files:
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                for record in csv.DictReader(file, delimiter=";"):
                    moment = record.pop("datetime")
                    values = {name: float(text) for name, text in record.items()}
                    yield _stem(path), moment, values

    def messages(self) -> Iterator[tuple[int, str, bytes]]:
        """Every row as (time ns, topic, JSON); the times of the rig are taken as UTC.

        The topic is ``skab/<recording>/<file>``.
        """
        for file, moment, values in self._records():
            body = orjson.dumps({"ts": f"{moment.replace(' ', 'T')}Z", **values})
            yield _time_ns(moment), f"{TOPIC}/{self.name}/{file}", body

    def rows(self) -> Iterator[Row]:
        """Every value of every row, in the order in which the messages carry them."""
        index = {item.name: number for number, item in enumerate(self.items)}
        for _, moment, values in self._records():
            timestamp_ns = _time_ns(moment)
            for name, value in values.items():
                yield index[name], timestamp_ns, GOOD, value


def _stem(path: Path) -> str:
    return path.name.removesuffix(".csv.gz")


def _time_ns(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000
