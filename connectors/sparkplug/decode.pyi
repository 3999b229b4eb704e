from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

ALIAS: int
TIME: int
BITS: int
SIZE: int
AT: int
END: int
NAME: int
INFO: int
IS_NULL: int
HISTORICAL: int
TRANSIENT: int
PROPERTIES: int
HAS_ALIAS: int
HAS_NAME: int
METADATA: int
NO_TIME: int

class Payload:
    raw: bytes
    time_ms: int
    seq: int
    count: int
    columns: npt.NDArray[np.int64]

    def __init__(self, raw: bytes, template: bool = False) -> None: ...
    def name(self, row: int) -> str | None: ...

def bind(
    payload: Payload,
    aliases: npt.NDArray[np.uint64],
    datatypes: npt.NDArray[np.uint8],
    series: npt.NDArray[np.int32],
    names: Mapping[bytes, int],
    early_ms: int,
) -> tuple[npt.NDArray[np.int64], int]: ...
def number(datatype: int, kind: int, bits: int) -> int | None: ...
