"""Rows of tags in the catalog's file, read and written; every change leaves its audit entry."""

from collections.abc import Iterable, Iterator

from historian.catalog_database import Database
from historian.catalog_records import (
    COUNTER_PROPERTIES,
    EDITABLE,
    PROPERTIES,
    STORED_PROPERTIES,
    SeriesRecord,
    TagDraft,
    TagRecord,
)
from storage_engine.sample import ValueType

_TEXTS = (
    "uuid, name, description, eng_unit, stepped, source, address, asset, state_set, origin,"
    " created_ns"
)
_TABLES = {"tag_properties": STORED_PROPERTIES, "tag_counters": COUNTER_PROPERTIES}
_EDITED = ("name", *(field for field in EDITABLE if field not in PROPERTIES))


def read_tags(database: Database) -> Iterator[TagRecord]:
    """Every tag with its series, in no order."""
    series: dict[int, list[SeriesRecord]] = {}
    for tag, uid, stream_id, type_ in database.rows(
        "SELECT tag, uuid, stream_id, type FROM series ORDER BY tag, position"
    ):
        series.setdefault(tag, []).append(SeriesRecord(stream_id, uid, ValueType(type_)))
    properties = ", ".join(PROPERTIES)
    for row in database.rows(
        f"SELECT id, {_TEXTS}, {properties}"  # noqa: S608 - our own names
        " FROM tags LEFT JOIN tag_properties AS p ON p.tag = id"
        " LEFT JOIN tag_counters AS c ON c.tag = id"
    ):
        resets = None if row[-1] is None else bool(row[-1])
        fields = [*row[:5], bool(row[5]), *row[6:12], tuple(series[row[0]]), *row[12:-1], resets]
        yield TagRecord(*fields)


def insert_tag(
    database: Database, draft: TagDraft, series: SeriesRecord, now_ns: int, principal: str
) -> TagRecord:
    """Enter a tag with its first series; call it inside a transaction."""
    texts = (draft.name, draft.description, draft.eng_unit, draft.steps, draft.source)
    rest = (draft.address, draft.asset, draft.state_set, draft.origin, now_ns)
    row = (series.uuid, *texts, *rest)
    marks = ",".join("?" * len(row))
    insert = f"INSERT INTO tags({_TEXTS}) VALUES({marks})"
    tag_id = database.execute(insert, row)
    insert_series(database, tag_id, 0, series)
    properties = (getattr(draft, field) for field in PROPERTIES)
    tag = TagRecord(tag_id, *row, (series,), *properties)
    _put_properties(database, tag)
    database.record(principal, "create tag", draft.name, None, tag.facts())
    return tag


def insert_series(database: Database, tag_id: int, position: int, series: SeriesRecord) -> None:
    """Enter a series of a tag; call it inside a transaction."""
    database.execute(
        "INSERT INTO series(uuid, tag, position, stream_id, type) VALUES(?,?,?,?,?)",
        (series.uuid, tag_id, position, series.stream_id, int(series.type)),
    )


def order_series(database: Database, tag: TagRecord) -> None:
    """Enter the order of a tag's series, newest last; call it inside a transaction."""
    for shift in (-len(tag.series), 0):  # over negative ones, so that they may change places
        for position, series in enumerate(tag.series):
            update = "UPDATE series SET position=? WHERE uuid=?"
            database.execute(update, (position + shift, series.uuid))


def free_names(database: Database, tags: Iterable[TagRecord]) -> None:
    """Take their names from tags that get others next, so that names may change places."""
    for tag in tags:  # no name begins with a character that nobody can print
        database.execute("UPDATE tags SET name=? WHERE id=?", (f"\x00{tag.id}", tag.id))


def update_tag(database: Database, before: TagRecord, after: TagRecord, principal: str) -> None:
    """Enter what was edited; call it inside a transaction."""
    sets = ", ".join(f"{field}=?" for field in _EDITED)
    update = f"UPDATE tags SET {sets} WHERE id=?"  # noqa: S608 - our own names
    database.execute(update, [*(getattr(after, field) for field in _EDITED), after.id])
    if any(getattr(before, field) != getattr(after, field) for field in PROPERTIES):
        _put_properties(database, after)
    action = "edit tag"
    if before.name != after.name:
        action = "rename tag"
    elif before.asset != after.asset:
        action = "move tag"
    database.record(principal, action, before.name, before.facts(), after.facts())


def _put_properties(database: Database, tag: TagRecord) -> None:
    for table, fields in _TABLES.items():
        values = [getattr(tag, field) for field in fields]
        if any(value is not None for value in values):
            marks = ",".join("?" * len(values))
            database.execute(f"INSERT OR REPLACE INTO {table} VALUES(?,{marks})", [tag.id, *values])
        else:
            delete = f"DELETE FROM {table} WHERE tag=?"  # noqa: S608 - our own names
            database.execute(delete, [tag.id])
