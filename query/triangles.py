"""LTTB: of each bucket the sample that spans the largest triangle with its neighbours.

References
----------
S. Steinarsson, Downsampling Time Series for Visual Representation, University of Iceland, 2013.
J. Van Der Donckt et al., MinMaxLTTB: Leveraging MinMax-Preselection to Scale LTTB, 2023.
"""

import numpy as np

from query.facts.moments import Float64Array
from storage_engine.sample import Int64Array

PRESELECTED = 4  # columns of extremes for each sample that MinMaxLTTB draws


def largest_triangles(times: Int64Array, values: Float64Array, count: int) -> Int64Array:
    """Rows that draw a line like all of them.

    Parameters
    ----------
    times : int64, shape (n,)
        Ascending.
    values : float64, shape (n,)
    count : int
        Rows wanted, at least 2; fewer when there are not so many.

    Returns
    -------
    int64, shape (min(n, count),)
        Ascending; the first and the last among them. Of equal triangles the oldest counts.
    """
    rows = len(times)
    if rows <= count:
        return np.arange(rows)
    x = (times - times[0]).astype(np.float64)
    buckets = count - 2
    edges = 1 + (np.arange(buckets + 1) * (rows - 2)) // max(buckets, 1)
    # The third corner is the middle of the bucket behind; behind the last one the last row.
    sizes = np.diff(edges)
    middle_x = np.append(np.add.reduceat(x[1:-1], edges[:-1] - 1) / sizes, x[-1])
    middle_y = np.append(np.add.reduceat(values[1:-1], edges[:-1] - 1) / sizes, values[-1])
    found = np.empty(count, dtype=np.int64)
    found[0], found[-1] = 0, rows - 1
    chosen = 0
    for bucket in range(buckets):
        low, high = int(edges[bucket]), int(edges[bucket + 1])
        far_x, far_y = middle_x[bucket + 1], middle_y[bucket + 1]
        near_x, near_y = x[chosen], values[chosen]
        area = np.abs(
            (near_x - far_x) * (values[low:high] - near_y)
            - (near_x - x[low:high]) * (far_y - near_y)
        )
        chosen = low + int(np.argmax(area))
        found[bucket + 1] = chosen
    return found
