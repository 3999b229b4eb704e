"""Bring the catalog and the engine into line at start. Nothing is deleted on either side."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from historian.catalog import Catalog
from historian.catalog_records import SeriesRecord, TagRecord, series_uuid
from storage_engine.sample import ValueType

PRINCIPAL = "historian"


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series as the engine holds it; ``has_rows`` is asked only of those without a tag."""

    stream_id: int
    uuid: bytes
    type: ValueType


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found at start, as sentences, and how many series of each sort."""

    findings: tuple[str, ...]
    adopted: int  # streams with rows that had no tag: now ``recovered/<uuid>``
    empty: int  # streams without rows and without a tag: left alone
    renumbered: int  # series whose dense id in the engine was another
    recreated: int  # series that the engine did not have


def reconcile(
    catalog: Catalog,
    stored: Mapping[bytes, StoredSeries],
    has_rows: Callable[[int], bool],
    create_series: Callable[[list[tuple[bytes, ValueType]]], list[int]],
) -> Reconciled:
    """Compare the catalog with the engine's series and repair what differs.

    Parameters
    ----------
    catalog : Catalog
        Open for writing.
    stored : Mapping
        Every series stream of the engine by uuid.
    has_rows : callable
        Whether a stream holds at least one sample.
    create_series : callable
        As of ``Catalog``.

    Notes
    -----
    A stream of a tag may lack its catalog row when a crash fell between the two writes, or when
    an older catalog was restored. The first holds no rows; the second is given a tag again.
    """
    known = _known(catalog)
    findings: list[str] = []
    missing = [s for uid, (_, s) in known.items() if uid not in stored]
    made = dict(
        zip(
            (s.uuid for s in missing),
            create_series([(s.uuid, s.type) for s in missing]) if missing else [],
            strict=True,
        )
    )
    moves: dict[bytes, int] = {}
    for uid, (tag, series) in known.items():
        stream_id = made.get(uid) if uid in made else stored[uid].stream_id
        if uid in made:
            findings.append(f"tag {tag.name!r}: its stream was not in the engine, made again")
        if stream_id is not None and stream_id != series.stream_id:
            moves[uid] = stream_id
    _renumber(catalog, moves)
    orphans = [s for uid, s in stored.items() if uid not in known]
    filled = [s for s in orphans if has_rows(s.stream_id)]
    findings.extend([_adopt(catalog, series) for series in filled])
    empty = len(orphans) - len(filled)
    if empty:
        findings.append(f"{empty} empty streams without a tag: left from an interrupted creation")
    if moves or filled:
        catalog.reload()
    return Reconciled(tuple(findings), len(filled), empty, len(moves), len(missing))


def _known(catalog: Catalog) -> dict[bytes, tuple[TagRecord, SeriesRecord]]:
    return {s.uuid: (tag, s) for tag in catalog.every() for s in tag.series}


def _renumber(catalog: Catalog, moves: Mapping[bytes, int]) -> None:
    """Set dense ids anew; over negative ones, so that two may change places."""
    with catalog.database.transaction():
        for uid, stream_id in moves.items():
            catalog.database.execute(
                "UPDATE series SET stream_id=? WHERE uuid=?", (-stream_id - 1, uid)
            )
        for uid, stream_id in moves.items():
            catalog.database.execute("UPDATE series SET stream_id=? WHERE uuid=?", (stream_id, uid))


def _adopt(catalog: Catalog, series: StoredSeries) -> str:
    """Give a stream with rows its tag back: as a further series, or as a recovered tag."""
    for tag in catalog.every():
        position = len(tag.series)
        if series.uuid == series_uuid(tag.uuid, position, series.type):
            record = SeriesRecord(series.stream_id, series.uuid, series.type)
            catalog.attach_series(tag, record, PRINCIPAL)
            return f"tag {tag.name!r}: got back a series of type {series.type.name.lower()}"
    name = f"recovered/{series.uuid.hex()}"
    catalog.adopt(name, series.uuid, series.stream_id, series.type, PRINCIPAL)
    return f"stream {series.stream_id} holds samples but had no tag, now {name!r}"


def describe(result: Reconciled) -> dict[str, Any]:
    """Return the result as facts for health and logs."""
    return dataclasses.asdict(result)
