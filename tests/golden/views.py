"""What the engine and the second reader give, in the form of expected.json."""

from collections.abc import Sequence
from typing import Any

from golden.story import ALL_TIME, plain
from second_reader.store import EVENTS, Store
from second_reader.words import BOOL, BYTES, FLOAT32, FLOAT64, SYMBOL, TEXT

from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.testing import plain_events, plain_samples

_WIDTHS = {FLOAT64: 8, FLOAT32: 4}


def read_by_engine(engine: Engine, lsns: Sequence[int]) -> dict[str, Any]:
    """Every stream as the engine gives it, as known at each lsn."""
    found: dict[str, Any] = {}
    for stream, info in sorted(engine.streams().items()):
        known_at = {
            str(lsn): {
                "plain": _engine_rows(engine, stream, lsn, full=False),
                "full": _engine_rows(engine, stream, lsn, full=True),
            }
            for lsn in lsns
        }
        found[info.uuid.hex()] = {
            "kind": int(info.kind),
            "columns": [[column.name, int(column.type)] for column in info.columns],
            "duplicates": int(info.duplicates),
            "known_at": known_at,
        }
    return found


def _engine_rows(engine: Engine, stream: int, lsn: int, *, full: bool) -> list[list[Any]]:
    info = engine.streams()[stream]
    types = [column.type for column in info.columns]
    if info.kind is SlotKind.EVENTS:
        events = engine.read_events(stream, *ALL_TIME, known_at_lsn=lsn, conflicts=full)
        return [
            [time, lsn_, event_id.hex(), [plain(*p) for p in zip(types, values, strict=True)]]
            for time, event_id, values, lsn_ in plain_events(events)
        ]
    samples = engine.read(stream, *ALL_TIME, known_at_lsn=lsn, all_revisions=full)
    back = engine.read(stream, *ALL_TIME, known_at_lsn=lsn, all_revisions=full, backward=True)
    assert plain_samples(samples) == plain_samples(back)[::-1], "the same rows from both sides"
    return [
        [time, lsn_, quality, [plain(types[0], value)]]
        for time, quality, value, lsn_ in plain_samples(samples)
    ]


def read_by_second(store: Store, lsns: Sequence[int]) -> dict[str, Any]:
    """Every stream as the second reader gives it, as known at each lsn."""
    found: dict[str, Any] = {}
    for stream_id, stream in sorted(store.streams.items()):
        types = [value_type for _, value_type in stream.columns]
        known_at: dict[str, Any] = {}
        for lsn in lsns:
            known_at[str(lsn)] = {
                name: [
                    [
                        row.time,
                        row.lsn,
                        row.event_id.hex() if stream.kind == EVENTS else row.quality,
                        [_cell(*pair) for pair in zip(types, row.cells, strict=True)],
                    ]
                    for row in store.read(stream_id, lsn, full=name == "full")
                ]
                for name in ("plain", "full")
            }
        found[stream.uuid.hex()] = {
            "kind": stream.kind,
            "columns": [list(column) for column in stream.columns],
            "duplicates": stream.duplicates,
            "known_at": known_at,
        }
    return found


def _cell(value_type: int, cell: Any) -> Any:
    if cell is None:
        return None
    if value_type in _WIDTHS:
        return int(cell).to_bytes(_WIDTHS[value_type], "little").hex()
    if value_type in (SYMBOL, TEXT):
        return cell.decode()
    return {BYTES: bytes.hex, BOOL: bool}.get(value_type, int)(cell)


def spool_rows(spool: Any) -> list[list[Any]]:
    """Rows of a spool: source, address, observed, time, quality or id, cells."""
    return [
        [
            said.source,
            said.address,
            observed,
            row.time,
            row.event_id.hex() if row.kind == EVENTS else row.quality,
            [_cell(t, c) for (_, t), c in zip(said.columns, row.cells, strict=True)],
        ]
        for said, row, observed in spool.rows()
    ]
