"""The real series below ``HISTORIAN_DATA``, as its own reader ``series.py`` gives them."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks import places


class Recording(NamedTuple):
    """One series: ``clock`` is "recorded", or "made" where the source kept no times."""

    name: str
    clock: str
    timestamp_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


def available() -> bool:
    """Whether the recordings are here."""
    return (places.recordings() / "series.py").is_file()


def load() -> list[Recording]:
    """Every series; parsed once, kept as arrays.

    Raises
    ------
    SystemExit
        When the recordings are not here.
    """
    reader = places.recordings() / "series.py"
    if not available():
        raise SystemExit(f"cannot read recordings: got no {reader}, want HISTORIAN_DATA to name it")
    names = [p for p in places.recordings().rglob("*.*z*") if p.is_file()]
    sizes = sorted((p.name, p.stat().st_size) for p in names)
    folder = places.kept("recordings", places.digest([reader], sizes), _write)
    with np.load(folder / "series.npz") as held:
        heads = [line.split("\t") for line in held["heads"].tolist()]
        return [
            Recording(name, clock, held[f"t{i}"], held[f"v{i}"])
            for i, (name, clock) in enumerate(heads)
        ]


def _write(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("series", places.recordings() / "series.py")
    assert spec is not None
    assert spec.loader is not None, "it is a file of Python"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    series = list(module.every())
    arrays = {}
    for i, one in enumerate(series):
        arrays[f"t{i}"], arrays[f"v{i}"] = one.timestamp_ns, one.value
    heads = np.array([f"{one.name}\t{one.clock}" for one in series])
    np.savez(folder / "series.npz", heads=heads, **arrays)
