from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from storage_engine.sample import BoolArray, Int64Array, UInt32Array, UInt64Array

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Columns: TypeAlias = tuple[
    UInt32Array, _Bytes, UInt64Array, UInt32Array, Int64Array, Int64Array, _Bytes
]

def decode(body: bytes) -> tuple[int, int, int | None, bool, _Columns, list[object], list[int]]: ...
def settle(
    columns: _Columns, types: _Bytes, last_ns: Int64Array, received_ns: int
) -> tuple[_Bytes, BoolArray, Int64Array, Int64Array, list[int], list[int], int, int, int]: ...
