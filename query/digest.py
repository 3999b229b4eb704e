"""A t-digest: percentiles of more values than one wants to hold, closest at both ends.

References
----------
Dunning, Ertl: Computing extremely accurate quantiles using t-digests, 2019.
"""

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
# The scale of arcs: no cluster near a share q holds more than 2 pi / SIZE * sqrt(q (1 - q)) of all.
SIZE = 2_000


class Digest:
    """Clusters of values; a cluster far out holds one value, and tells it exactly."""

    def __init__(self) -> None:
        self._mean = np.zeros(0)
        self._weight = np.zeros(0)
        self._low, self._high = np.inf, -np.inf

    def add(self, values: Float64Array) -> None:
        """Take values; float64, shape (n,), no NaN."""
        if len(values) == 0:
            return
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))
        mean = np.concatenate([self._mean, values])
        weight = np.concatenate([self._weight, np.ones(len(values))])
        order = np.argsort(mean, kind="stable")
        mean, weight = mean[order], weight[order]
        middle = (np.cumsum(weight) - weight / 2) / weight.sum()
        arc = np.floor(SIZE / (2 * np.pi) * np.arcsin(2 * middle - 1))
        begins = np.flatnonzero(np.append(True, np.diff(arc) > 0))
        self._weight = np.add.reduceat(weight, begins)
        # Not the mean of products: a cluster of equal values has that value to the bit.
        distance = mean - np.repeat(mean[begins], np.diff(np.append(begins, len(mean))))
        share = np.add.reduceat(distance * weight, begins) / self._weight
        self._mean = mean[begins] + share

    def percentile(self, share: float) -> float:
        """Value at ``share`` percent of the way from the smallest to the largest; NaN for none."""
        count = self._weight.sum()
        if count == 0:
            return float("nan")
        centre = np.cumsum(self._weight) - (self._weight + 1) / 2
        rank = np.concatenate([[-0.0], centre, [count - 1]])
        value = np.concatenate([[self._low], self._mean, [self._high]])
        return float(np.interp(share / 100 * (count - 1), rank, value))
