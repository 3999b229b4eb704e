"""The choice of a codec for a column: what won the last time first, else all that may fit."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from storage_engine.codec.base import AnyNumbers
from storage_engine.codec.composite import DISTINCT, plans_of, with_last_stage
from storage_engine.codec.pco import Pco
from storage_engine.codec.plans import Plan

_CONSTANT, _DELTA, _SHUFFLE, _PCO = 2, 3, 4, 15
_TRUSTED_BLOCKS = 32
_STREAMS_MAX = 100_000


@dataclass(slots=True)
class Recipe:
    """What won for one column of one stream, tried first in its next block.

    Parameters
    ----------
    plan : Plan, optional
        None: nothing is known.
    last : int
        Codec of a last stage over the integers, 0 for none.
    dtype : dtype, optional
        Of the column.
    bits : float
        A value, when it was chosen.
    blocks : int
        Encoded by it since then.
    """

    plan: Plan | None = None
    last: int = 0
    dtype: np.dtype[np.generic] | None = None
    bits: float = 0.0
    blocks: int = 0

    def encode(self, values: AnyNumbers) -> tuple[int, bytes] | None:
        """Codec and body, or None when it is time to choose anew."""
        if self.plan is None or self.dtype != values.dtype or self.blocks >= _TRUSTED_BLOCKS:
            return None
        body = self.plan.encode(values)
        if body is not None and self.last:
            body = with_last_stage(self.plan.codec, body, self.last)
        if body is None or 8 * len(body) > (1.1 * self.bits + 0.05) * len(values) + 512:
            return None
        self.blocks += 1
        return self.plan.codec, body

    def learn(self, plan: Plan | None, last: int, values: AnyNumbers, size: int) -> None:
        """Keep what won with `size` bytes."""
        self.plan, self.last, self.dtype = plan, last, values.dtype
        self.bits, self.blocks = 8 * size / len(values), 0


class Recipes:
    """Recipes of many columns; those not asked for longest are forgotten.

    Parameters
    ----------
    count_max : int
    """

    def __init__(self, count_max: int = _STREAMS_MAX) -> None:
        self._count_max = count_max
        self._known: OrderedDict[tuple[int, int, int], Recipe] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, stream: int, role: int, index: int) -> Recipe:
        """Give the recipe of a column, an empty one at first.

        Parameters
        ----------
        stream, role, index : int
            The column: role and index as in a block.

        Returns
        -------
        Recipe
            To be used by one thread at a time.
        """
        key = (stream, role, index)
        with self._lock:
            recipe = self._known.get(key)
            if recipe is None:
                recipe = self._known[key] = Recipe()
                if len(self._known) > self._count_max:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(key)
            return recipe


def choose(values: AnyNumbers, recipe: Recipe | None) -> tuple[int, bytes] | None:
    """Encode values by the kernels' codecs.

    Parameters
    ----------
    values : contiguous, of 1, 4 or 8 bytes, shape (n,), n > 0
    recipe : Recipe, optional
        Tried first, and updated.

    Returns
    -------
    (int, bytes) or None
        Codec and body, decoded and compared; None when nothing is smaller than the array.

    Notes
    -----
    A last stage of zstd must save a fifth and half a bit a value: it decodes thirty times slower.
    """
    bits = values.view(f"u{values.dtype.itemsize}")
    if bits[0] == bits[-1] and (bits == bits[0]).all():
        return _CONSTANT, values[:1].tobytes()
    if recipe is not None:
        found = recipe.encode(values)
        if found is not None:
            return found
    best: tuple[Plan, bytes] | None = None
    plans = plans_of(values)
    for plan in plans:
        body = plan.encode(values)
        if body is not None and (best is None or len(body) < len(best[1])):
            best = plan, body
    if best is None or len(best[1]) >= values.nbytes:
        if recipe is not None:
            recipe.learn(None, 0, values, values.nbytes)
        return None
    plan, body = best
    last = 0
    allowed = min(0.8 * len(body), len(body) - len(values) / 16)
    tried = _last_stages(plans, values, (_DELTA, _SHUFFLE)) if allowed > 0 else []
    for other, stage, packed in tried:
        if len(packed) < allowed:
            plan, body, last, allowed = other, packed, stage, len(packed)
    if recipe is not None:
        recipe.learn(plan, last, values, len(body))
    return plan.codec, body


def choose_cold(values: AnyNumbers) -> list[tuple[int, bytes]]:
    """Give bodies whose last stage is pco.

    Parameters
    ----------
    values : contiguous, shape (n,), n > 0

    Returns
    -------
    list of (int, bytes)
        Codec and body; not yet compared with the values.
    """
    tried = [
        (plan.codec, body) for plan, _, body in _last_stages(plans_of(values), values, (_PCO,))
    ]
    alone = Pco().encode(values)
    return tried if alone is None else [(_PCO, alone), *tried]


def _last_stages(
    plans: list[Plan], values: AnyNumbers, stages: tuple[int, ...]
) -> list[tuple[Plan, int, bytes]]:
    """Plan, last stage and body, of the likeliest grid and of the distinct values."""
    grids = [plan for plan in plans[:1] if plan.codec in {9, 10, 11}]
    found = []
    for plan in (*(grid.of(grid.codec, plain=True) for grid in grids), *_distinct(plans)):
        body = plan.encode(values)
        if body is None:
            continue
        for stage in stages:
            packed = with_last_stage(plan.codec, body, stage)
            if packed is not None:
                found.append((plan, stage, packed))
    return found


def _distinct(plans: list[Plan]) -> list[Plan]:
    return [plans[0].of(DISTINCT, plain=True)] if plans else []
