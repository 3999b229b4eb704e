"""CRC-32C, from frame.md ("A reader in twenty years"): table-driven, long inputs in numpy lanes."""

import numpy as np

_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41 with its bits reflected
_SHORT = 512
_BITS = np.arange(32, dtype=np.uint32)


def _table() -> np.ndarray:
    state = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        state = np.where(state & 1, (state >> 1) ^ np.uint32(_POLYNOMIAL), state >> 1)
    return state.astype(np.uint32)


_TABLE = _table()
_LIST = [int(x) for x in _TABLE]


def _shifted(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Every state moved on by the zero bytes that `matrix` stands for."""
    bits = (states[:, None] >> _BITS) & np.uint32(1)
    return np.bitwise_xor.reduce(np.where(bits == 1, matrix[None, :], np.uint32(0)), axis=1)


def _long(data: np.ndarray, state: int) -> int:
    """The register after `data`: lanes side by side, folded two by two."""
    data = data.copy()
    data[:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    lanes = 1 << (len(data).bit_length() // 2)
    length = -(-len(data) // lanes)
    # Zeros in front leave an empty register empty.
    grid = np.zeros((lanes + 32, length), np.uint8)
    flat = np.zeros(lanes * length, np.uint8)
    flat[lanes * length - len(data) :] = data
    grid[:lanes] = flat.reshape(lanes, length)
    register = np.zeros(lanes + 32, np.uint32)
    register[lanes:] = np.uint32(1) << _BITS
    for column in np.ascontiguousarray(grid.T):
        register = _TABLE[(register ^ column) & np.uint32(255)] ^ (register >> np.uint32(8))
    states, matrix = register[:lanes], register[lanes:]
    while len(states) > 1:
        states = _shifted(matrix, states[0::2]) ^ states[1::2]
        matrix = _shifted(matrix, matrix)
    return int(states[0])


def crc32c(*parts: bytes) -> int:
    """CRC-32C of the parts, one after the other."""
    state = 0xFFFFFFFF
    for part in parts:
        if len(part) > _SHORT:
            state = _long(np.frombuffer(part, np.uint8), state)
        else:
            for byte in bytes(part):
                state = _LIST[(state ^ byte) & 255] ^ (state >> 8)
    return state ^ 0xFFFFFFFF
