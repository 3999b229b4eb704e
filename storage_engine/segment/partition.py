"""Which partition a row belongs to: day, month or year, by its age at the flush."""

import numpy as np

from storage_engine.sample import AnyArray, Int64Array

DAY_NS = 86_400 * 1_000_000_000
DAYS_MAX = 31
MONTHS_MAX_DAYS = 731


def partition_codes(timestamp_ns: Int64Array, now_ns: int) -> Int64Array:
    """Code of the partition of each row; rows of one partition share a code.

    Parameters
    ----------
    timestamp_ns : int64, shape (n,)
    now_ns : int
        Time of the flush.

    Returns
    -------
    int64, shape (n,)
        First day of the partition, as days since 1970 times 4, plus 0 for a day, 1 for a month,
        2 for a year.
    """
    if len(timestamp_ns):  # mostly all rows are of one day
        first, last = int(timestamp_ns.min()) // DAY_NS, int(timestamp_ns.max()) // DAY_NS
        if first == last and len(timestamp_ns) > 1:
            return np.full(len(timestamp_ns), partition_codes(timestamp_ns[:1], now_ns)[0])
    days = timestamp_ns // DAY_NS
    today = now_ns // DAY_NS
    dates = days.astype("datetime64[D]")
    codes = days * 4
    old = days < today - DAYS_MAX
    if old.any():
        codes = np.where(old, _first_day(dates, "M") * 4 + 1, codes)
        codes = np.where(days < today - MONTHS_MAX_DAYS, _first_day(dates, "Y") * 4 + 2, codes)
    return codes


def _first_day(dates: AnyArray, unit: str) -> Int64Array:
    days: Int64Array = dates.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)
    return days


def partition_name(code: int) -> str:
    """Name of a partition: ``2026-11-22``, ``2026-11`` or ``2026``.

    Parameters
    ----------
    code : int
        From :func:`partition_codes`.

    Returns
    -------
    str
    """
    text = str(np.datetime64(code // 4, "D"))
    cut = {0: None, 1: -3, 2: -6}[code % 4]
    return text[:cut]


def partition_days(name: str) -> tuple[int, int] | None:
    """Window of a partition, the way back from its name.

    Parameters
    ----------
    name : str
        ``2026-11-22``, ``2026-11`` or ``2026``.

    Returns
    -------
    tuple of int, or None
        First day and the day behind the last, as days since 1970; None for any other name.
    """
    try:
        first = np.datetime64(name)
    except ValueError:
        return None
    unit = np.datetime_data(first.dtype)[0]
    if unit not in {"D", "M", "Y"}:
        return None
    edges = np.array([first, first + 1]).astype("datetime64[D]").astype(np.int64)
    return int(edges[0]), int(edges[1])
