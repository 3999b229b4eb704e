"""Events whose key is known with other content: found at the append, so that the writer is told."""

from collections.abc import Callable

from storage_engine.columns import Rows
from storage_engine.events import content_hashes, event_keys
from storage_engine.head import EventRows
from storage_engine.prepare import Prepared


def find_conflicts(
    prepared: Prepared,
    newest_ns: Callable[[int], int],
    rows_between: Callable[[int, int, int], Rows | None],
) -> tuple[int, ...]:
    """Row numbers of conflicting events of a frame.

    Parameters
    ----------
    prepared : Prepared
    newest_ns : callable
        Stream id -> time of its newest event; events behind it are new without a look.
    rows_between : callable
        (stream id, start, end) -> all rows of a window in (time, id, stamp) order, or None.

    Returns
    -------
    tuple of int
        Numbered over the frame.
    """
    found: list[int] = []
    known: dict[int, dict[bytes, bytes]] = {}
    streams = [part.stream_id for part in prepared.events]
    for part, numbers in zip(prepared.events, prepared.event_rows, strict=True):
        keys = event_keys(part.rows)
        first = int(part.rows.timestamp_ns.min())
        look = first <= newest_ns(part.stream_id)
        alone = streams.count(part.stream_id) == 1
        if not look and alone and len(set(keys)) == len(keys):
            continue
        contents = known.setdefault(part.stream_id, {})
        if look:
            _learn(contents, part, rows_between)
        for key, content, number in zip(keys, content_hashes(part.rows), numbers, strict=True):
            if contents.setdefault(key, content) != content:
                found.append(number)
    return tuple(found)


def _learn(
    contents: dict[bytes, bytes],
    part: EventRows,
    rows_between: Callable[[int, int, int], Rows | None],
) -> None:
    time = part.rows.timestamp_ns
    rows = rows_between(part.stream_id, int(time.min()), int(time.max()) + 1)
    if rows is None:
        return
    # In stamp order within a key, so the first content wins here as it does in reads.
    for key, content in zip(event_keys(rows), content_hashes(rows), strict=True):
        contents.setdefault(key, content)
