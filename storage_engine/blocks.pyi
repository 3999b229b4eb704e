import numpy as np
import numpy.typing as npt

from storage_engine.sample import BoolArray, Int64Array, UInt32Array

RISING: int
ALONE: int
LOADED: int
GOOD: int
WHOLE: int
STOPPED: int
RUN_BYTES: int

class Stop:
    def set(self) -> None: ...
    @property
    def is_set(self) -> bool: ...

def load_run(
    runs: npt.NDArray[np.void], place: int, data: bytes, value_type: int, item: int
) -> list[str]: ...
def read_runs(
    runs: npt.NDArray[np.void],
    begin: int,
    end: int,
    start_ns: int,
    end_ns: int,
    time: Int64Array,
    value: npt.NDArray[np.uint8],
    quality: UInt32Array | None,
    valid: npt.NDArray[np.uint8] | BoolArray | None,
    at: int,
    stop: Stop,
) -> int: ...
