from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.sample import Int64Array

class FoldColumns:
    table: npt.NDArray[Any]
    kind: int

    def __init__(self, kind: int, table: npt.NDArray[Any]) -> None: ...
    def __len__(self) -> int: ...
    @staticmethod
    def fold(
        kind: int,
        time: Int64Array,
        value: npt.NDArray[Any] | None,
        quality: npt.NDArray[np.uint32] | None,
        valid: npt.NDArray[Any] | None,
        edges: Int64Array,
        brief: bool = False,
        wanted: npt.NDArray[np.uint8] | None = None,
    ) -> FoldColumns: ...
    @staticmethod
    def gather(
        kind: int,
        sources: Sequence[FoldColumns],
        source: Int64Array,
        row: Int64Array,
        starts: Int64Array,
    ) -> FoldColumns: ...
    def merge(self, starts: Int64Array) -> FoldColumns: ...
    @property
    def known(self) -> npt.NDArray[np.uint8]: ...
    def result(self, name: str) -> npt.NDArray[np.float64]: ...
