from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from storage_engine.sample import UInt32Array

_Places: TypeAlias = tuple[int, int, int, int, int, int, int]

def plain_sections(raw: bytes) -> list[_Places] | None: ...
def bound_streams(
    slot: UInt32Array, table: UInt32Array, types: npt.NDArray[np.uint8], wanted: int
) -> UInt32Array | None: ...
