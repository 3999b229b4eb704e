import numpy as np
import numpy.typing as npt

from storage_engine.blocks import Stop
from storage_engine.sample import Int64Array, UInt64Array

NO_RUNS: int
SERIES_BYTES: int

def fold_series(
    series: npt.NDArray[np.uint8],
    edges: Int64Array,
    counts: Int64Array,
    cells: UInt64Array,
    sums: npt.NDArray[np.float64],
    threads: int,
    stop: Stop,
    decode: bool,
) -> int: ...
