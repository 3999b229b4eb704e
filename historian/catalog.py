"""The catalog: which tags exist, where their samples come from, and which series hold them.

All tags are held in memory (bounded by ``tags_max``); the file is read at start, written on change.
A stream is made in the engine first and carries the tag's uuid; only then the catalog commits, so a
crash in between leaves an empty stream and never a tag without one.
"""

import dataclasses
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from historian.catalog_database import Database
from historian.catalog_records import (
    EDITABLE,
    QueryTags,
    SeriesRecord,
    TagDraft,
    TagRecord,
    check_properties,
    series_uuid,
)
from historian.catalog_rows import insert_series, insert_tag, read_tags, update_tag
from historian.catalog_rules import TagRules
from historian.errors import Conflict, NotFound, RequestInvalid
from query.errors import UnknownTag
from query.ports import Tag
from storage_engine.clock import Clock
from storage_engine.sample import ValueType

CreateSeries = Callable[[Sequence[tuple[bytes, ValueType]]], list[int]]


class Catalog:
    """Names, addresses and series; fulfils ``query.ports.TagResolver``. Safe from any thread.

    Parameters
    ----------
    database : Database
        The open file.
    create_series : callable
        (uuid, type) pairs -> dense stream ids, durable on return; the same uuid, the same id.
    clock : Clock
        Stamps new tags.
    rules : TagRules
        What to make of unknown addresses.
    tags_max : int
        Bound on the number of tags.
    """

    def __init__(
        self,
        database: Database,
        create_series: CreateSeries,
        clock: Clock,
        rules: TagRules,
        *,
        tags_max: int = 200_000,
    ) -> None:
        self.database = database
        self._create_series = create_series
        self._clock = clock
        self._rules = rules
        self._tags_max = tags_max
        self._lock = threading.RLock()
        self._by_name: dict[str, TagRecord] = {}
        self._by_address: dict[tuple[str, str], TagRecord] = {}
        self._by_stream: dict[int, TagRecord] = {}
        self._query_tags = QueryTags()
        self.revision = 0  # rises with each change of a tag
        self.reload()

    @classmethod
    def open(
        cls,
        path: Path,
        create_series: CreateSeries,
        clock: Clock,
        rules: TagRules,
        *,
        tags_max: int = 200_000,
        read_only: bool = False,
    ) -> "Catalog":
        """Open the file at ``path``, made when missing; arguments as of the class."""
        database = Database(path, clock, read_only=read_only)
        return cls(database, create_series, clock, rules, tags_max=tags_max)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def use(self, create_series: CreateSeries) -> None:
        """Go on with another engine, after the first stopped and was opened again."""
        self._create_series = create_series

    def reload(self) -> None:
        """Read every tag from the file."""
        with self._lock:
            found = list(read_tags(self.database))
            self._by_name.clear()
            self._by_address.clear()
            self._by_stream.clear()
            for tag in found:
                self._index(tag)

    def _index(self, tag: TagRecord) -> None:
        self.revision += 1
        self._by_name[tag.name] = tag
        if tag.address:
            self._by_address[tag.source, tag.address] = tag
        for series in tag.series:
            self._by_stream[series.stream_id] = tag

    # Reading

    def __len__(self) -> int:
        return len(self._by_name)

    def resolve(self, name: str) -> Tag:
        """Return the tag of this name as query sees it.

        Raises
        ------
        query.errors.UnknownTag
        """
        record = self._by_name.get(name)
        if record is None:
            raise UnknownTag(name)
        return self._query_tags.of(record)

    def find(self, name: str) -> TagRecord | None:
        """Return the tag of this name, or None."""
        return self._by_name.get(name)

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
            Part of the name or description, case ignored for ASCII; empty finds all.
        limit : int
            At most so many.
        after : str
            Only names behind this one: the last of the page before.
        """
        rows = self.database.rows(
            "SELECT name FROM tags WHERE name > ? AND (instr(lower(name), lower(?)) > 0"
            " OR instr(lower(description), lower(?)) > 0) ORDER BY name LIMIT ?",
            (after, search, search, limit),
        )
        found = (self._by_name.get(name) for (name,) in rows)
        return [tag for tag in found if tag is not None]

    def every(self) -> list[TagRecord]:
        """All tags, in no order."""
        return list(self._by_name.values())

    # Declaring

    def declare_tag(self, draft: TagDraft, principal: str) -> TagRecord:
        """Make a tag, or bring the texts and properties of an existing one in line with the draft.

        Raises
        ------
        RequestInvalid
            If the draft cannot be stored.
        Conflict
            If the name has another type, or the address feeds another tag.
        """
        return self.declare_tags([draft], principal)[0]

    def declare_tags(self, drafts: Iterable[TagDraft], principal: str) -> list[TagRecord]:
        """Make or update many tags in one transaction; all or none. See :meth:`declare_tag`."""
        drafts = list(drafts)
        with self._lock:
            for draft in drafts:
                draft.check()
                reason = self._conflict(draft)
                if reason:
                    raise Conflict(f"cannot declare tag {draft.name!r}: {reason}", got=draft.name)
            _refuse_twice(drafts)
            fresh = [d for d in drafts if d.name not in self._by_name]
            if len(self) + len(fresh) > self._tags_max:
                message = f"cannot declare {len(fresh)} tags: got {len(self)} already"
                raise Conflict(f"{message}, want at most {self._tags_max}, at ingest.tags_max")
            edits = []
            for draft in drafts:
                tag = self._by_name.get(draft.name)
                if tag is not None:
                    fields = {field: getattr(draft, field) for field in EDITABLE}
                    edited = dataclasses.replace(tag, **fields | {"stepped": draft.steps})
                    edits += [(tag, edited)] if edited != tag else []
            self._write(fresh, edits, principal)
            return [self._by_name[draft.name] for draft in drafts]

    def edit_tag(self, name: str, changes: dict[str, Any], principal: str) -> TagRecord:
        """Change a tag; what is equal already is no change and leaves no audit.

        Parameters
        ----------
        name : str
            Which tag.
        changes : dict
            Any of ``EDITABLE``.
        principal : str
            Who does it.

        Raises
        ------
        NotFound
        RequestInvalid
            For a field that cannot be edited, or a property that means nothing.
        """
        with self._lock:
            tag = self._by_name.get(name)
            if tag is None:
                raise NotFound(
                    f"cannot edit tag: got {name!r}, want a tag of the catalog", got=name
                )
            unknown = sorted(set(changes) - set(EDITABLE))
            if unknown:
                message = f"cannot edit tag {name!r}: got {unknown[0]!r}, want one of: "
                raise RequestInvalid(message + ", ".join(EDITABLE), got=unknown[0])
            edited = dataclasses.replace(tag, **changes)
            if edited == tag:
                return tag
            check_properties(edited, [series.type for series in edited.series])
            self._write([], [(tag, edited)], principal)
            return edited

    def _conflict(self, draft: TagDraft) -> str:
        """Why this draft cannot stand beside what exists; empty when it can."""
        known = self._by_name.get(draft.name)
        if known is not None:
            if known.series_of(draft.type) is None:
                return f"got type {draft.type.name.lower()}, want {known.type.name.lower()}"
            if (known.source, known.address) != (draft.source, draft.address):
                held = f"{known.source}:{known.address}" if known.address else "none"
                return f"got address {draft.source}:{draft.address}, want {held}"
            return ""
        other = self._by_address.get((draft.source, draft.address)) if draft.address else None
        if other is not None:
            return f"got address {draft.source}:{draft.address}, which feeds {other.name!r}"
        return ""

    def _write(
        self,
        fresh: Sequence[TagDraft],
        edits: Sequence[tuple[TagRecord, TagRecord]],
        principal: str,
    ) -> None:
        """Enter new tags and edited ones (before, after) in one transaction."""
        uuids = [uuid.uuid4().bytes for _ in fresh]
        wanted = [(uid, draft.type) for uid, draft in zip(uuids, fresh, strict=True)]
        ids = self._create_series(wanted) if wanted else []
        now_ns = self._clock.now_ns()
        changed = [after for _, after in edits]
        with self.database.transaction():
            for draft, (uid, type_), stream_id in zip(fresh, wanted, ids, strict=True):
                series = SeriesRecord(stream_id, uid, type_)
                changed.append(insert_tag(self.database, draft, series, now_ns, principal))
            for before, after in edits:
                update_tag(self.database, before, after, principal)
        for tag in changed:
            self._index(tag)

    def adopt(
        self, name: str, uid: bytes, stream_id: int, type_: ValueType, principal: str
    ) -> TagRecord:
        """Make a tag of a stream that exists in the engine and has none."""
        draft = TagDraft(name, type_, origin="recovered")
        with self._lock:
            with self.database.transaction():
                series = SeriesRecord(stream_id, uid, type_)
                tag = insert_tag(self.database, draft, series, self._clock.now_ns(), principal)
            self._index(tag)
        return tag

    # Sources

    def series_for(
        self, source: str, wanted: Sequence[tuple[str, ValueType]], principal: str
    ) -> list[SeriesRecord | str]:
        """Find or make the series that each address of a source writes to.

        A known tag whose values come in a new type gets a further series; an unknown address is
        given to the tag rules.

        Parameters
        ----------
        source : str
            Name of the source.
        wanted : sequence of (address, type)
            What it declares.
        principal : str
            Who is entered in the audit for new tags.

        Returns
        -------
        list
            Per address its series, or a sentence that says why there is none.
        """
        with self._lock:
            drafts: dict[str, TagDraft] = {}
            reasons: dict[int, str] = {}
            for index, (address, type_) in enumerate(wanted):
                if (source, address) in self._by_address:
                    continue
                draft = self._rules.draft(source, address, type_)
                reason = self._refusal(draft, drafts)
                if reason:
                    reasons[index] = reason
                elif draft is not None:
                    drafts.setdefault(draft.name, draft)
            self._write(list(drafts.values()), [], principal)
            found: list[SeriesRecord | str] = []
            for index, (address, type_) in enumerate(wanted):
                if index in reasons:
                    found.append(reasons[index])
                    continue
                tag = self._by_address[source, address]
                found.append(tag.series_of(type_) or self._grow(tag, type_, principal))
            return found

    def _refusal(self, draft: TagDraft | None, drafts: dict[str, TagDraft]) -> str:
        """Why a rule's draft makes no tag; empty when it does."""
        if draft is None:
            return "no tag rule matches"
        if len(self) + len(drafts) >= self._tags_max:
            return f"the catalog holds {self._tags_max} tags, its bound (ingest.tags_max)"
        other = drafts.get(draft.name)
        if other is not None and other.address == draft.address:
            return ""
        if other is not None or draft.name in self._by_name:
            return f"the tag rule gives the name {draft.name!r}, which another address has"
        try:
            draft.check()
        except RequestInvalid as error:
            return str(error)
        return ""

    def _grow(self, tag: TagRecord, type_: ValueType, principal: str) -> SeriesRecord:
        """Give a tag a further series because its source now sends another type."""
        uid = series_uuid(tag.uuid, len(tag.series), type_)
        series = SeriesRecord(self._create_series([(uid, type_)])[0], uid, type_)
        self.attach_series(tag, series, principal)
        return series

    def attach_series(self, tag: TagRecord, series: SeriesRecord, principal: str) -> None:
        """Enter a series that exists in the engine as the newest of a tag."""
        grown = dataclasses.replace(tag, series=(*tag.series, series))
        with self._lock:
            with self.database.transaction():
                insert_series(self.database, tag.id, len(tag.series), series)
                self.database.record(principal, "add series", tag.name, tag.facts(), grown.facts())
            self._index(grown)


def _refuse_twice(drafts: Sequence[TagDraft]) -> None:
    """Refuse a list that makes one name or one address twice."""
    names = [d.name for d in drafts]
    addresses = [f"{d.source}:{d.address}" for d in drafts if d.address]
    for keys in (names, addresses):
        twice = next((key for key, count in Counter(keys).items() if count > 1), None)
        if twice is not None:
            raise Conflict(f"cannot declare tags: got {twice!r} twice, want once", got=twice)
