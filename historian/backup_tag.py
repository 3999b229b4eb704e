"""Rows of a tag out of a backup, over what the running store holds: revisions, and a trail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from historian.backup_catalog import CATALOG, series_in_backup
from historian.catalog import Catalog
from historian.config import HistorianConfig
from historian.errors import NotFound, RequestInvalid
from historian.ingest_receipts import SeriesInput, WriteReceipt
from storage_engine.backup_facts import BackupFacts
from storage_engine.clock import Clock
from storage_engine.columns import bits_of, take_column
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.sample import BoolArray, ColumnData, SampleColumns
from storage_engine.subtree import Below, Pace

PAGE_ROWS = 20_000
_ROW_BYTES = 24

Edit = Callable[[SeriesInput, str], WriteReceipt]


@dataclass(frozen=True, slots=True)
class TagRestoreRequest:
    """What is to be as it was.

    Attributes
    ----------
    tags : tuple of str
    start_ns, end_ns : int
        start <= time < end, nanoseconds UTC.
    known_at_ns : int or None
        Record time within the backup; None: its end.
    known_at_lsn : int or None
        The same as an lsn.
    """

    tags: tuple[str, ...]
    start_ns: int
    end_ns: int
    known_at_ns: int | None = None
    known_at_lsn: int | None = None


class TagRestore:
    """Reads tags in a backup, compares with the store, and hands over what differs.

    Parameters
    ----------
    config : HistorianConfig
    clock : Clock
    facts : BackupFacts
    engine : Engine
        The running one.
    catalog : Catalog
    pace : callable
        Told the bytes read; may raise to end it. What was written by then stays.
    """

    def __init__(
        self,
        config: HistorianConfig,
        clock: Clock,
        facts: BackupFacts,
        *,
        engine: Engine,
        catalog: Catalog,
        pace: Pace,
    ) -> None:
        self._config = config
        self._clock = clock
        self._facts = facts
        self._live = engine
        self._catalog = catalog
        self._pace = pace

    def run(self, request: TagRestoreRequest, edit: Edit) -> dict[str, Any]:
        """Write what differs, tag by tag.

        Parameters
        ----------
        request : TagRestoreRequest
        edit : callable
            Stores rows as an edit with a reason, and returns when they are durable.

        Returns
        -------
        dict
            lsn, and per tag: rows read, written, equal already, refused, and rows of other types.

        Raises
        ------
        NotFound
            A tag that the backup or the store does not have.
        RequestInvalid
            A moment behind the backup.
        """
        fs = RealFileSystem(self._config.backup.directory)
        backup = Engine.open(
            Below(fs, self._facts.engine_path), self._config.store.engine, self._clock,
            read_only=True,
        )  # fmt: skip
        try:
            lsn = self._lsn(request, backup)
            plans = [(tag, *self._plan(tag, backup)) for tag in request.tags]
            reason = f"restored from backup {self._facts.name} as known at lsn {lsn}"
            told = [
                self._tag(
                    tag,
                    streams,
                    backup,
                    request=request,
                    lsn=lsn,
                    edit=lambda rows: edit(rows, reason),
                )
                for tag, *streams in plans
            ]
            return {"lsn": lsn, "tags": told, "damage": [f.what for f in backup.findings()]}
        finally:
            backup.close()

    def _lsn(self, request: TagRestoreRequest, backup: Engine) -> int:
        last = self._facts.lsn
        if request.known_at_lsn is not None:
            if not 0 <= request.known_at_lsn <= last:
                message = f"cannot restore tags: got lsn {request.known_at_lsn}, want 0 to {last}"
                raise RequestInvalid(message, got=request.known_at_lsn, where="to")
            return request.known_at_lsn
        return (
            last if request.known_at_ns is None else min(backup.lsn_at(request.known_at_ns), last)
        )

    def _plan(self, tag: str, backup: Engine) -> tuple[int, int, int]:
        """Stream in the backup, stream here, and rows of the tag's other types in the backup."""
        known = self._catalog.find(tag)
        if known is None:
            raise NotFound(
                f"cannot restore tag {tag!r}: no tag has this name", got=tag, where="tag"
            )
        catalog = self._config.backup.directory / self._facts.name / CATALOG
        mine = known.series[-1]
        listed = [uuid for uuid, _ in series_in_backup(catalog, mine.uuid)]
        streams = {info.uuid: info.id for info in backup.streams().values()}
        if mine.uuid not in listed or mine.uuid not in streams:
            message = f"cannot restore tag {tag!r}: backup {self._facts.name} has no such series"
            raise NotFound(message, got=tag, where="tag")
        others = len([uuid for uuid in listed if uuid != mine.uuid])
        return streams[mine.uuid], mine.stream_id, others

    def _tag(
        self,
        tag: str,
        streams: list[int],
        backup: Engine,
        *,
        request: TagRestoreRequest,
        lsn: int,
        edit: Callable[[SeriesInput], WriteReceipt],
    ) -> dict[str, Any]:
        there, here, others = streams
        counts = {"read": 0, "written": 0, "equal": 0, "refused": 0, "other_series": others}
        start = request.start_ns
        while start < request.end_ns:
            rows = backup.read(there, start, request.end_ns, known_at_lsn=lsn, max_count=PAGE_ROWS)
            self._pace(len(rows) * _ROW_BYTES)
            if not len(rows):
                break
            last = int(rows.timestamp_ns[-1])
            if len(rows) == PAGE_ROWS and int(rows.timestamp_ns[0]) < last:
                # A time may hold several rows under the rule "all": the next page has it whole.
                rows = _taken(rows, rows.timestamp_ns < last)
                start = last
            else:
                start = last + 1
            differs = ~_equal(rows, self._live.read(here, int(rows.timestamp_ns[0]), last + 1))
            counts["read"] += len(rows)
            counts["equal"] += int((~differs).sum())
            if differs.any():
                part = _taken(rows, differs)
                receipt = edit(SeriesInput(tag, part.timestamp_ns, part.quality, part.value))
                counts["written"] += receipt.stored
                counts["refused"] += receipt.rejected
        return {"tag": tag, **counts}


def _taken(rows: SampleColumns, mask: BoolArray) -> SampleColumns:
    return SampleColumns(
        rows.timestamp_ns[mask], rows.quality[mask], take_column(rows.value, mask), rows.lsn[mask]
    )


def _equal(rows: SampleColumns, now: SampleColumns) -> BoolArray:
    """Rows whose time reads with the same quality and value now."""
    out = np.zeros(len(rows), np.bool_)
    if not len(now):
        return out
    place = np.searchsorted(now.timestamp_ns, rows.timestamp_ns, "right") - 1
    found = (place >= 0) & (now.timestamp_ns[place] == rows.timestamp_ns)
    place = np.where(found, place, 0)
    found &= now.quality[place] == rows.quality
    valid, valid_now = _valid(rows.value), _valid(now.value)[place]
    same = np.asarray(bits_of(rows.value.value) == bits_of(now.value.value)[place], np.bool_)
    return np.asarray(found & (valid == valid_now) & (same | ~valid), np.bool_)


def _valid(column: ColumnData) -> BoolArray:
    return np.ones(len(column), np.bool_) if column.valid is None else column.valid
