from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Kept: TypeAlias = tuple[
    npt.NDArray[np.int32],
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.float64],
]
SERIES: np.dtype[np.void]

def thin(
    state: npt.NDArray[Any],
    place: npt.NDArray[np.int32],
    series: npt.NDArray[np.int32],
    time_ns: npt.NDArray[np.int64],
    quality: npt.NDArray[np.uint32],
    value: npt.NDArray[np.float64],
    plain: npt.NDArray[np.uint8],
    now_ns: int,
) -> _Kept: ...
def release(
    state: npt.NDArray[Any], place: npt.NDArray[np.int32], now_ns: int, forget: bool
) -> _Kept: ...
