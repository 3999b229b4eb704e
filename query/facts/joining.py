"""Facts of whole windows from facts of their pieces."""

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T")
Firsts = npt.NDArray[np.intp]


def added(facts: _T, firsts: Firsts) -> _T:
    """Counts, durations and areas add up; doubts join by or.

    Parameters
    ----------
    facts : dataclass of arrays, shape (pieces,)
        Pieces of one window stand together, in order of time.
    firsts : int, shape (windows,)
        Where the pieces of each window begin.
    """
    columns = []
    for field in fields(facts):  # type: ignore[arg-type] # all facts are dataclasses
        values = getattr(facts, field.name)
        fold = np.logical_or if values.dtype == np.bool_ else np.add
        columns.append(fold.reduceat(values, firsts))
    return type(facts)(*columns)


def lasts_of(firsts: Firsts, count: int) -> Firsts:
    """Last piece of each window."""
    return np.append(firsts[1:], count) - 1


def first_where(chosen: npt.NDArray[np.bool_], firsts: Firsts) -> Firsts:
    """First chosen piece of each window; its first piece where none is."""
    place = np.where(chosen, np.arange(len(chosen)), len(chosen))
    found = np.minimum.reduceat(place, firsts)
    return np.where(found < len(chosen), found, firsts)


def last_where(chosen: npt.NDArray[np.bool_], firsts: Firsts) -> Firsts:
    """Last chosen piece of each window; its first piece where none is."""
    found = np.maximum.reduceat(np.where(chosen, np.arange(len(chosen)), -1), firsts)
    return np.where(found >= 0, found, firsts)


def picked(facts: Any, rows: Firsts, *names: str) -> list[Any]:
    """Columns ``names`` at ``rows``."""
    return [getattr(facts, name)[rows] for name in names]
