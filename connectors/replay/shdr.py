"""MTConnect adapter logs (SHDR) of the NIST test bed, one line per change of one item.

``time|item|value``; conditions have seven fields, and everything behind the item is their text.
An item whose values are all numbers is Double, any other String. UNAVAILABLE is a bad sample
without a value. Nothing is sorted, dropped or joined: re-sent, late and misdated lines are kept.

References
----------
MTConnect Standard, Part 5: adapter interface (SHDR).
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from connectors.replay.recording import Item
from connectors.simulator.node import Row
from storage_engine.sample import BAD_NO_COMMUNICATION, GOOD, ValueType

UNAVAILABLE = "UNAVAILABLE"
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+([eE][+-]?\d+)?")


class ShdrTime:
    """Reads ISO 8601 times to nanoseconds, to the last digit; remembers the day it read last."""

    def __init__(self) -> None:
        self._day = ""
        self._day_ns = 0

    def read(self, text: str) -> int:
        """Nanoseconds since 1970 UTC of ``2017-05-01T10:25:03.4693962Z``.

        Raises
        ------
        ValueError
            If it is no such time.
        """
        if text[10:11] != "T" or not text.endswith("Z"):
            msg = f"cannot read time: got {text!r}, want 2017-05-01T10:25:03.4693962Z"
            raise ValueError(msg)
        if text[:10] != self._day:
            moment = datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
            self._day_ns = int(moment.timestamp()) * 1_000_000_000
            self._day = text[:10]
        seconds = int(text[11:13]) * 3_600 + int(text[14:16]) * 60 + int(text[17:19])
        fraction = text[20:-1].ljust(9, "0")[:9]
        return self._day_ns + seconds * 1_000_000_000 + int(fraction)


class ShdrRecording:
    """One machine and month.

    Parameters
    ----------
    path : Path
        A ``.shdr.txt.zst`` file; it is read once here to learn the items and their types.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name.removesuffix(".shdr.txt.zst")
        numeric: dict[str, bool] = {}
        has_value: set[str] = set()
        self.row_count = 0
        for _, item, value in self._lines():
            self.row_count += 1
            known = numeric.setdefault(item, True)
            if value != UNAVAILABLE:
                has_value.add(item)
                if known and _NUMBER.fullmatch(value) is None:
                    numeric[item] = False
        self.items = tuple(
            Item(name, ValueType.FLOAT64 if ok and name in has_value else ValueType.SYMBOL)
            for name, ok in numeric.items()
        )

    def _lines(self) -> Iterator[list[str]]:
        with self._path.open("rb") as packed:
            stream = zstandard.ZstdDecompressor().stream_reader(packed)
            # Only a line feed ends a line: a comment of a program may hold a carriage return.
            for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
                text = line.removesuffix("\n")
                if text:
                    yield text.split("|", 2)

    def rows(self) -> Iterator[Row]:
        """Every line, in the order of the file.

        Raises
        ------
        ValueError
            At a line that is no SHDR.
        """
        index = {item.name: number for number, item in enumerate(self.items)}
        double = [item.type is ValueType.FLOAT64 for item in self.items]
        time = ShdrTime()
        for stamp, item, value in self._lines():
            node = index[item]
            timestamp_ns = time.read(stamp)
            if value == UNAVAILABLE:
                yield node, timestamp_ns, BAD_NO_COMMUNICATION, None
            elif double[node]:
                yield node, timestamp_ns, GOOD, float(value)
            else:
                yield node, timestamp_ns, GOOD, value
