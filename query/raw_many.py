"""Raw samples of many tags: those in memory together, the others one by one."""

from collections.abc import Sequence

import numpy as np

from query.ports import SampleReader, Tag
from query.request import QueryLimits, RawRequest
from query.result import RawResult


def read_recent(
    reader: SampleReader, tags: Sequence[Tag], request: RawRequest, limits: QueryLimits
) -> list[RawResult | None]:
    """Samples of tags in a window of a plain request; None where a read of the tag must tell."""
    start, end = request.start_ns, request.end_ns
    plain = RawRequest(request.tag, start, end)
    if request != plain or start is None or end is None or end <= start:
        return [None for _ in tags]
    alone = [place for place, tag in enumerate(tags) if len(tag.series) == 1]
    rows = reader.read_recent([tags[place].series[0] for place in alone], start, end)
    found: list[RawResult | None] = [None for _ in tags]
    none = np.zeros(max((len(one) for one in rows if one is not None), default=0), np.bool_)
    for place, one in zip(alone, rows, strict=True):
        if one is not None and len(one) <= limits.rows_max:
            no = none[: len(one)]
            found[place] = RawResult(tags[place], one, no, no, None)
    return found
