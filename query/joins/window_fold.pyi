from typing import Any

import numpy as np
import numpy.typing as npt

WINDOW: np.dtype[Any]
HELD: int

def join_windows(
    windows: npt.NDArray[Any],
    first: int,
    behind: int,
    time: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    quality: npt.NDArray[np.uint32] | None,
    valid: npt.NDArray[Any] | None,
    made: npt.NDArray[Any] | None,
    *,
    low: int,
    high: int,
    data_end: int,
    hold_max: int,
    band_low: float,
    band_high: float,
    worst: int,
    stepped: bool,
) -> None: ...
