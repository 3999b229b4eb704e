from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.fold import FoldColumns

WORDS_MAX: int

def extents(
    columns: FoldColumns, period: int
) -> tuple[
    npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.uint8]
]: ...
def to_words(
    columns: FoldColumns,
    period: int,
    known: npt.NDArray[np.uint8],
    bit: npt.NDArray[np.int32],
    by: npt.NDArray[np.uint32],
    count: npt.NDArray[np.int32],
) -> list[npt.NDArray[np.uint64]]: ...
def from_words(
    kind: int,
    table: npt.NDArray[Any],
    period: int,
    known: npt.NDArray[np.uint8],
    specs: Sequence[tuple[int, int, npt.NDArray[np.uint64]]],
) -> FoldColumns: ...
