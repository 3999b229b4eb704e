from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from storage_engine.sample import Int64Array, UInt32Array, UInt64Array

class _Newest(Protocol):
    time: Int64Array
    cell: UInt64Array
    stamp: UInt64Array
    quality: UInt32Array
    flags: npt.NDArray[np.uint8]

class RowLog:
    used: int
    capacity: int
    batches: int
    time: Int64Array
    cell: UInt64Array
    before: UInt32Array
    stream: UInt32Array
    quality: UInt32Array
    missing: npt.NDArray[np.uint8]
    last: UInt32Array
    count: UInt32Array
    first: UInt32Array
    stamp: UInt64Array
    def __init__(self, capacity: int, streams: int) -> None: ...
    def append(
        self,
        stream: UInt32Array,
        time: Int64Array,
        cell: UInt64Array,
        quality: UInt32Array,
        valid: npt.NDArray[np.uint8],
        stamp: int,
        newest: _Newest,
        streams: int,
    ) -> None: ...
    def stamps(self, rows: npt.NDArray[Any]) -> UInt64Array: ...
    def order(self, last: UInt32Array, count: UInt32Array, stream: UInt32Array) -> UInt32Array: ...
