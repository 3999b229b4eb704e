"""Tags that the catalog knows, in memory: found by name, former name, address and stream."""

import uuid

from historian.catalog_database import Database
from historian.catalog_joins import TagJoins
from historian.catalog_names import FormerNames
from historian.catalog_records import QueryTags, TagRecord
from historian.catalog_rows import read_tags
from query.errors import UnknownTag
from query.ports import Tag


class KnownTags:
    """Tags as the file holds them; fulfils ``query.ports.TagResolver``.

    Parameters
    ----------
    database : Database
        The open file.

    Attributes
    ----------
    names : FormerNames
    joins : TagJoins
    revision : int
        Rises with each change of a tag.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names = FormerNames(database)
        self.joins = TagJoins(database)
        self.revision = 0
        self._by_name: dict[str, TagRecord] = {}
        self._by_address: dict[tuple[str, str], TagRecord] = {}
        self._by_stream: dict[int, TagRecord] = {}
        self._by_id: dict[int, TagRecord] = {}
        self._by_uuid: dict[bytes, TagRecord] = {}
        self._query_tags = QueryTags()

    def reload(self) -> None:
        """Read every tag from the file."""
        found = list(read_tags(self.database))
        self._by_name.clear()
        self._by_address.clear()
        self._by_stream.clear()
        self._by_id.clear()
        self._by_uuid.clear()
        self.names.reload()
        self.joins.reload()
        for tag in found:
            self._index(tag)

    def _index(self, tag: TagRecord) -> None:
        self.revision += 1
        self._by_name[tag.name] = tag
        self._by_id[tag.id] = tag
        self._by_uuid[tag.uuid] = tag
        if tag.address:
            self._by_address[tag.source, tag.address] = tag
        for series in tag.series:
            self._by_stream[series.stream_id] = tag

    def __len__(self) -> int:
        return len(self._by_name)

    def resolve(self, name: str) -> Tag:
        """Return the tag of this name, or the last that had it before, as query sees it.

        Raises
        ------
        query.errors.UnknownTag
        """
        record = self.find(name)
        if record is None:
            raise UnknownTag(name)
        return self._query_tags.of(record)

    def find(self, name: str) -> TagRecord | None:
        """Return the tag of this name, or the last that had it before, or None."""
        return self._by_name.get(name) or self._by_id.get(self.names.bearer(name))

    def find_present(self, name: str) -> TagRecord | None:
        """Return the tag that has this name now, or None."""
        return self._by_name.get(name)

    def find_at(self, name: str, time_ns: int) -> TagRecord | None:
        """Return the tag that had this name at a time, or None."""
        for tag_id in reversed(self.names.bearers_at(name, time_ns)):
            return self._by_id.get(tag_id)
        tag = self._by_name.get(name)
        return tag if tag is not None and self.names.since_ns(tag) <= time_ns else None

    def meant_by(self, tag: TagRecord) -> list[str]:
        """Give the former names that still mean a tag, newest first."""
        return [name for name in reversed(self.names.former(tag)) if self.find(name) is tag]

    def find_uuid(self, text: str) -> TagRecord | None:
        """Return the tag of this uuid, 32 hexadecimal digits with or without hyphens, or None."""
        try:
            return self._by_uuid.get(uuid.UUID(text).bytes)
        except ValueError:
            return None

    def find_id(self, tag_id: int) -> TagRecord:
        """Return the tag of a row id; tags are never removed."""
        return self._by_id[tag_id]

    def names_of(self, tag: TagRecord) -> list[str]:
        """Give every name that a tag has or had, the present one first."""
        return [tag.name, *self.names.former(tag)]

    def find_address(self, source: str, address: str) -> TagRecord | None:
        """Return the tag that this address feeds, or None."""
        return self._by_address.get((source, address))

    def find_stream(self, stream_id: int) -> TagRecord | None:
        """Return the tag that this stream belongs to, or None."""
        return self._by_stream.get(stream_id)

    def tags(self, search: str = "", limit: int = 100, after: str = "") -> list[TagRecord]:
        """Tags in order of name.

        Parameters
        ----------
        search : str
            Part of the name, a former name or the description, case ignored for ASCII; empty
            finds all.
        limit : int
            At most so many.
        after : str
            Only names behind this one: the last of the page before.
        """
        rows = self.database.rows(
            "SELECT name FROM tags WHERE name > ? AND (instr(lower(name), lower(?)) > 0"
            " OR instr(lower(description), lower(?)) > 0 OR id IN (SELECT tag FROM tag_names"
            " WHERE instr(lower(name), lower(?)) > 0)) ORDER BY name LIMIT ?",
            (after, search, search, search, limit),
        )
        found = (self._by_name.get(name) for (name,) in rows)
        return [tag for tag in found if tag is not None]

    def every(self) -> list[TagRecord]:
        """All tags, in no order."""
        return list(self._by_name.values())
