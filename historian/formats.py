"""Versions of the formats that this release writes; each has a page in ``docs/format``."""

from historian.collector.spool_files import SPOOL_VERSION
from storage_engine import frame_layout, manifest, wal_record
from storage_engine.segment import layout

FORMATS: dict[str, int] = {
    "frame": frame_layout.VERSION,
    "wal": wal_record.VERSION,
    "segment": layout.VERSION,
    "manifest": manifest.VERSION,
    "spool": SPOOL_VERSION,
}
