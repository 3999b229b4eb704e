from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from storage_engine.head_rows import RowLog, _Newest
from storage_engine.sample import Int64Array, UInt32Array, UInt64Array

_Columns: TypeAlias = tuple[Int64Array, UInt32Array, UInt64Array, Int64Array, npt.NDArray[np.uint8]]
_Last: TypeAlias = tuple[bytes, int, int, int, int]

def sound_records(data: Buffer, at: int, seed: int, budget: int) -> tuple[_Columns, int, int]: ...
def plain_frames(
    log: RowLog,
    data: Buffer,
    body: Int64Array,
    size: UInt32Array,
    lsn: UInt64Array,
    types: npt.NDArray[np.uint8],
    newest: _Newest,
    streams: int,
    room: int,
    slots: Callable[[bytes, int], UInt32Array | None],
) -> tuple[int, list[_Last]]: ...
