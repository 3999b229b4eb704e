"""dictionary: few distinct strings and a code per row."""

import struct
from collections.abc import Sequence

import numpy as np

from storage_engine.codec.base import AnyNumbers
from storage_engine.codec.constant import Constant
from storage_engine.codec.raw import Raw
from storage_engine.codec.runs import Runs
from storage_engine.codec.shuffle import Shuffle
from storage_engine.codec.text import Text
from storage_engine.errors import CorruptData

_HEAD = struct.Struct("<IBI")
_CODES = {codec.id: codec for codec in (Raw(), Constant(), Shuffle(), Runs())}
_TEXT = Text()


class Dictionary:
    """Distinct strings, numbered by first appearance, and their codes."""

    id = 6
    name = "dictionary"

    def encode(self, values: Sequence[bytes]) -> bytes | None:
        """Bytes of codes and entries; None when most strings differ."""
        entries: dict[bytes, int] = {}
        codes: AnyNumbers = np.fromiter(
            (entries.setdefault(value, len(entries)) for value in values), np.uint32, len(values)
        )
        if 2 * len(entries) > len(values):
            return None
        tried = [(codec.id, body) for codec in _CODES.values() if (body := codec.encode(codes))]
        best, body = min(tried, key=lambda pair: len(pair[1]))
        text = _TEXT.encode(list(entries)) or b""
        return _HEAD.pack(len(entries), best, len(body)) + body + text

    def decode(self, data: memoryview, rows: int) -> list[bytes]:
        """Look each code up."""
        if len(data) < _HEAD.size:
            raise CorruptData(f"cannot decode dictionary: got {len(data)} bytes, want >= 9")
        count, codec, size = _HEAD.unpack_from(data)
        if codec not in _CODES or count > rows:
            raise CorruptData(f"cannot decode dictionary: got codec {codec}, {count} entries")
        body = data[_HEAD.size : _HEAD.size + size]
        codes = _CODES[codec].decode(body, rows, np.dtype(np.uint32)).astype(np.int64)
        entries = _TEXT.decode(data[_HEAD.size + size :], count)
        if rows and int(codes.max()) >= count:
            raise CorruptData(f"cannot decode dictionary: got code {codes.max()}, want < {count}")
        return [entries[code] for code in codes.tolist()]
