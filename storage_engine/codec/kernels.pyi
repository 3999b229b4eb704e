import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from storage_engine.sample import AnyArray

KERNEL: str
KERNELS: tuple[str, ...]

class PackedHint: ...

def packed_encode(
    values: npt.NDArray[np.int64], hint: PackedHint | None = None, kernel: str = ...
) -> bytes: ...
def column_decode(
    codec: int,
    body: Buffer,
    rows: int,
    dtype: np.dtype[np.generic],
    first: int = 0,
    count: int = -1,
    kernel: str = ...,
) -> AnyArray: ...
