"""A plant's tags from a seed: six kinds in equal shares, a sample a second, ms of jitter."""

import numpy as np
import numpy.typing as npt

KINDS = ("process", "transmitter", "totaliser", "digital", "set_point", "computed")
START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def times(rows: int, seed: int, period_ns: int = 1_000_000_000) -> npt.NDArray[np.int64]:
    """Source times: a scan each period, up to 3 ms late."""
    late_ms = np.random.default_rng(seed).integers(0, 4, rows)
    return START_NS + np.arange(rows, dtype=np.int64) * period_ns + late_ms * 1_000_000


def values(kind: str, rows: int, seed: int) -> npt.NDArray[np.float64]:
    """One tag's values: what such a signal looks like at its real resolution."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    second = np.arange(rows)
    if kind == "process":
        return np.round(70 + 5 * np.sin(second / 3600) + np.cumsum(rng.normal(0, 0.02, rows)), 2)
    if kind == "transmitter":
        counts = np.rint(2048 + 300 * np.sin(second / 600) + rng.normal(0, 6, rows))
        return np.clip(counts, 0, 4095) * (16.0 / 4095.0)
    if kind == "totaliser":
        return np.round(125_000 + np.cumsum(np.abs(rng.normal(0.012, 0.004, rows))), 3)
    if kind == "digital":
        return (np.cumsum(rng.random(rows) < 0.002) % 2).astype(np.float64)
    if kind == "set_point":
        held = np.maximum.accumulate(np.where(rng.random(rows) < 0.0003, second, 0))
        return rng.integers(100, 900, rows)[held] / 10.0
    return np.cumsum(rng.normal(0, 0.02, rows)) * 1.8 + 150 + rng.normal(0, 1e-3, rows)


def scan(tags: int, rows: int, seed: int = 1) -> npt.NDArray[np.float64]:
    """Values of many tags, float64, shape (rows, tags): row r is what one scan delivers."""
    columns = [values(KINDS[i % len(KINDS)], rows, seed + i) for i in range(tags)]
    return np.stack(columns, axis=1)
