import numpy as np
import numpy.typing as npt

from storage_engine.head_rows import RowLog
from storage_engine.sample import Int64Array, UInt32Array, UInt64Array

class Spread:
    time: Int64Array
    cell: UInt64Array
    stamp: UInt64Array
    quality: UInt32Array
    stream: UInt32Array
    missing: npt.NDArray[np.uint8]
    def __init__(self, log: RowLog, place: UInt32Array, stream: UInt32Array) -> None: ...
