"""A historian on a folder with rows of every type and every trap, for tests of transfer."""

import tomllib
from pathlib import Path

import numpy as np

from connectors.connector import Clock
from historian.catalog_records import TagDraft
from historian.config import HistorianConfig, parse_config
from historian.events import EVENT_KINDS
from historian.runtime import Historian
from historian.transfer.store import store_of
from storage_engine.bulk import BulkRows
from storage_engine.sample import EVENT_ID_DTYPE, AnyArray, ColumnData, ValueType

CONFIG = """
[store]
path = "store"
free_bytes_min = 1000000
[ingest]
time_min = "1970-01-01T00:00:00Z"
"""
DAY_NS = 86_400 * 1_000_000_000
START_NS = 1_546_300_800_000_000_000  # 2019


def config_in(folder: Path) -> HistorianConfig:
    """Configuration of a store in a folder."""
    return parse_config(tomllib.loads(CONFIG), base=folder)


def open_historian(folder: Path, clock: Clock) -> Historian:
    """A historian that is open and not started."""
    return Historian.open(config_in(folder), clock)


def _floats(bits: list[int], kind: str) -> AnyArray:
    return np.array(bits, f"u{kind[1]}").view(kind)


def trap_values() -> dict[ValueType, AnyArray]:
    """Values that are lost easily: NaNs by their bits, -0.0, ends of ranges, hard texts."""
    plain = [0.1, -0.0, 0.0, 1e308, 5e-324, np.inf, -np.inf, 1 / 3]
    nans = [0x7FF8000000000000, 0x7FF8000000000123, 0xFFF8000000000000, 0x7FF0000000000001]
    small = [0x7FC00000, 0x7FC00007, 0xFFC00000, 0x7F800001]
    texts = ["run", "", r"\N", "a,b", 'say "x"', "line\nend\r", " pad ", "tab\t", "ü€\U0001f600"]
    texts += ["\\", "nan", "null", "\0x", "\ud800half", "-", "\ufeffbom"]
    return {
        ValueType.FLOAT64: np.concatenate([plain, _floats(nans, "f8")]),
        ValueType.FLOAT32: np.concatenate(
            [np.array([0.1, -0.0, 1.5, np.inf], np.float32), _floats(small, "f4")]
        ),
        ValueType.INT64: np.array([-(2**63), 2**63 - 1, 2**53 + 1, 0], np.int64),
        ValueType.UINT64: np.array([2**64 - 1, 2**53 + 1, 2**63, 0], np.uint64),
        ValueType.BOOL: np.array([True, False, False, True]),
        ValueType.SYMBOL: np.array(texts, np.object_),
    }


def fill(historian: Historian, *, rows: int = 500, years: int = 3) -> None:
    """Tags of every type with traps, nulls and odd qualities over some years, and events."""
    catalog, engine = historian.catalog, historian.engine
    parts = []
    for type_, traps in trap_values().items():
        name = f'plant/{type_.name.lower()}, "odd" ü'
        draft = TagDraft(
            name, type_, "opc", f"ns=2;s={type_.name}", eng_unit="°C", description="a,b\nc"
        )
        tag = catalog.declare_tag(draft, "test")
        times = START_NS + np.arange(rows, dtype=np.int64) * (years * 365 * DAY_NS // rows) + 7
        value = np.resize(traps, rows)
        if traps.dtype.kind in "iu":
            value[4::5] = np.arange(len(value[4::5]), dtype=value.dtype)
        valid = np.arange(rows) % 13 != 5
        quality = np.where(valid, 0, 0x80310000).astype(np.uint32)
        quality[::17] = 0xFFFFFFFF
        data = ColumnData(type_, value, valid)
        parts.append(BulkRows(tag.series[0].stream_id, times, quality, None, (data,)))
    catalog.declare_tag(TagDraft("plant/empty", ValueType.INT64), "test")
    kind = "test_result"
    times = START_NS + np.arange(rows, dtype=np.int64) // 2 * (years * 365 * DAY_NS // rows)
    ids = np.array([n.to_bytes(16, "big") for n in range(1, rows + 1)], EVENT_ID_DTYPE)
    data_columns = []
    for place, column in enumerate(EVENT_KINDS[kind]):
        traps = trap_values()[ValueType.SYMBOL if column.type is ValueType.TEXT else column.type]
        valid = np.arange(rows) % 7 != place % 7
        data_columns.append(ColumnData(column.type, np.resize(traps, rows), valid))
    events = store_of(historian).streams().event_stream(kind)
    assert events is not None, "every kind has its stream"
    parts.append(BulkRows(events, times, None, ids, tuple(data_columns)))
    engine.bulk_import("fill", None, parts)
    engine.end_import("fill")
