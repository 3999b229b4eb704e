from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.fold import FoldColumns
from storage_engine.sample import BoolArray, Int64Array

HELD: np.dtype[Any]

def held(
    columns: FoldColumns, first: int = 0, last: int | None = None
) -> tuple[Int64Array, npt.NDArray[np.void]]: ...
def hold(
    columns: FoldColumns, known: BoolArray, starts: Int64Array, values: npt.NDArray[np.void]
) -> None: ...
