import numpy as np
import numpy.typing as npt

from storage_engine.blocks import Stop
from storage_engine.fold import FoldColumns
from storage_engine.sample import Int64Array, UInt32Array

NOT_LOADED: int

class Windows:
    def __init__(self, edges: Int64Array, stop: Stop, wanted: int = ...) -> None: ...
    def begin(self, out: FoldColumns, first: int) -> None: ...
    def needed(self, runs: npt.NDArray[np.void], begin: int, end: int) -> list[int]: ...
    def runs(
        self, runs: npt.NDArray[np.void], begin: int, end: int, start_ns: int, end_ns: int
    ) -> int: ...
    def rows(
        self,
        time: Int64Array,
        value: npt.NDArray[np.uint8] | None,
        quality: UInt32Array | None,
        valid: npt.NDArray[np.uint8] | None,
    ) -> int: ...
    def end(self) -> None: ...
