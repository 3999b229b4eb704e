"""The catalog: which tags exist, where their samples come from, and which series hold them.

All tags are held in memory (bounded by ``tags_max``); the file is read at start, written on change.
A stream is made in the engine first and carries the tag's uuid; only then the catalog commits, so a
crash in between leaves an empty stream and never a tag without one.
"""

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from historian.catalog_changes import TagChange, changed, check_names, refuse_twice
from historian.catalog_database import Database
from historian.catalog_known import KnownTags
from historian.catalog_records import (
    SeriesRecord,
    TagDraft,
    TagRecord,
    series_uuid,
)
from historian.catalog_rows import free_names, insert_series, insert_tag, order_series, update_tag
from historian.catalog_rules import TagRules
from historian.errors import Conflict, NotFound, RequestInvalid
from storage_engine.clock import Clock
from storage_engine.sample import ValueType

CreateSeries = Callable[[Sequence[tuple[bytes, ValueType]]], list[int]]


class Catalog(KnownTags):
    """Names, addresses and series, and every change of them. Safe from any thread.

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
        super().__init__(database)
        self._create_series = create_series
        self._clock = clock
        self._rules = rules
        self._tags_max = tags_max
        self._lock = threading.RLock()
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

    # Declaring

    def declare_tag(self, draft: TagDraft, principal: str) -> TagRecord:
        """Make a tag, or bring the texts of an existing one in line with the draft.

        Properties that the draft does not have stay as they are.

        Raises
        ------
        RequestInvalid
            If the draft cannot be stored.
        Conflict
            If the name has another type, or the address feeds another tag.
        """
        return self.declare_tags([draft], principal)[0]

    def declare_tags(
        self, drafts: Iterable[TagDraft], principal: str, *, take_names: bool = True
    ) -> list[TagRecord]:
        """Make or update many tags in one transaction; all or none. See :meth:`declare_tag`.

        ``take_names`` says that new tags may take names that others had before.
        """
        return self.change([], drafts, principal, take_names=take_names)[1]

    def edit_tag(self, name: str, changes: dict[str, Any], principal: str) -> TagRecord:
        """Change a tag; what is equal already is no change and leaves no audit.

        Parameters
        ----------
        name : str
            Which tag.
        changes : dict
            Any of ``CHANGEABLE``, the name among them.
        principal : str
            Who does it.

        Raises
        ------
        NotFound
        RequestInvalid
            For a field that cannot be edited, or a name or property that cannot stand.
        Conflict
            For a name that another tag has.
        """
        with self._lock:
            tag = self.find(name)
            if tag is None:
                raise NotFound(
                    f"cannot edit tag: got {name!r}, want a tag of the catalog", got=name
                )
            return self.change([TagChange(tag, changes)], [], principal)[0][0]

    def change(
        self,
        changes: Sequence[TagChange],
        drafts: Iterable[TagDraft],
        principal: str,
        *,
        take_names: bool = True,
    ) -> tuple[list[TagRecord], list[TagRecord]]:
        """Change tags and declare others in one transaction; all or none.

        Names may change places. A tag that was renamed is still found by its former name as long
        as no other has it. What is equal already is no change and leaves no audit.

        Parameters
        ----------
        changes : sequence of TagChange
        drafts : iterable of TagDraft
            See :meth:`declare_tag`.
        principal : str
            Who does it.
        take_names : bool
            Whether new tags may take names that others had before.

        Returns
        -------
        list of TagRecord, list of TagRecord
            The changed tags, and the declared ones.

        Raises
        ------
        RequestInvalid, Conflict
        """
        drafts = list(drafts)
        with self._lock:
            changes = [TagChange(self._by_id[one.tag.id], one.fields) for one in changes]
            pairs = changed(changes)
            gone = {before.name for before, after in pairs if before.name != after.name}
            for draft in drafts:
                draft.check()
                reason = self._conflict(draft, gone, take_names=take_names)
                if reason:
                    raise Conflict(f"cannot declare tag {draft.name!r}: {reason}", got=draft.name)
            refuse_twice(drafts)
            held = {d.name: self._by_name.get(d.name) for d in drafts if d.name not in gone}
            fresh = [d for d in drafts if held.get(d.name) is None]
            check_names(self._by_name, pairs, fresh)
            ids = {one.tag.id for one in changes}
            both = [d.name for d in drafts if (tag := held.get(d.name)) and tag.id in ids]
            if both:
                message = f"cannot change tags: got {both[0]!r} changed and declared, want one"
                raise RequestInvalid(message, got=both[0], where="tag")
            self.check_room(len(fresh))
            known = [
                TagChange(tag, d.declares())
                for d in drafts
                if (tag := held.get(d.name)) is not None
            ]
            self._write(fresh, pairs + changed(known), principal)
            return (
                [self._by_id[one.tag.id] for one in changes],
                [self._by_name[draft.name] for draft in drafts],
            )

    def check_room(self, fresh: int) -> None:
        """Refuse more new tags than the catalog takes.

        Raises
        ------
        Conflict
        """
        if fresh and len(self) + fresh > self._tags_max:
            message = f"cannot declare {fresh} tags: got {len(self)} already"
            raise Conflict(f"{message}, want at most {self._tags_max}, at ingest.tags_max")

    def held(self) -> AbstractContextManager[object]:
        """Keep others from changing tags, for a change that looks before it writes."""
        return self._lock

    def _conflict(self, draft: TagDraft, gone: set[str], *, take_names: bool) -> str:
        """Why this draft cannot stand beside what exists; empty when it can."""
        known = None if draft.name in gone else self._by_name.get(draft.name)
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
        former = None if take_names else self.find(draft.name)
        if former is not None and draft.name not in gone:
            return f"got a former name of {former.name!r}, want take_name to make another tag of it"
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
        entered = [after for _, after in edits]
        renamed = [before for before, after in edits if before.name != after.name]
        with self.database.transaction():
            self.names.keep(renamed, now_ns)
            free_names(self.database, renamed)
            for before, after in edits:
                update_tag(self.database, before, after, principal)
            for draft, (uid, type_), stream_id in zip(fresh, wanted, ids, strict=True):
                series = SeriesRecord(stream_id, uid, type_)
                entered.append(insert_tag(self.database, draft, series, now_ns, principal))
        self.names.learn(renamed)
        for tag in renamed:
            del self._by_name[tag.name]
        for tag in entered:
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

    def change_type(self, name: str, type_: ValueType, principal: str) -> TagRecord:
        """Let a tag take values of another type from now on, in a series of their own.

        Reads join the series. One of this type that the tag has already is gone on with.

        Raises
        ------
        NotFound
        RequestInvalid
            For a type that no tag has.
        """
        with self._lock:
            tag = self.find(name)
            if tag is None:
                raise NotFound(f"cannot change type: got {name!r}, want a tag", got=name)
            TagDraft(tag.name, type_).check()
            held = tag.series_of(type_)
            if held is None:
                self._grow(tag, type_, principal)
            elif tag.type is not type_:
                series = (*(one for one in tag.series if one is not held), held)
                turned = dataclasses.replace(tag, series=series)
                with self.database.transaction():
                    order_series(self.database, turned)
                    facts = tag.facts(), turned.facts()
                    self.database.record(principal, "change type", tag.name, *facts)
                self._index(turned)
            return self._by_id[tag.id]

    def _grow(self, tag: TagRecord, type_: ValueType, principal: str) -> SeriesRecord:
        """Give a tag a further series because its source now sends another type."""
        uid = series_uuid(tag.uuid, len(tag.series), type_)
        series = SeriesRecord(self._create_series([(uid, type_)])[0], uid, type_)
        self.attach_series(tag, series, principal)
        return series

    def attach_series(self, tag: TagRecord, series: SeriesRecord, principal: str) -> None:
        """Enter a series that exists in the engine as the newest of a tag."""
        with self._lock:
            tag = self._by_id[tag.id]
            grown = dataclasses.replace(tag, series=(*tag.series, series))
            with self.database.transaction():
                insert_series(self.database, tag.id, len(tag.series), series)
                self.database.record(principal, "add series", tag.name, tag.facts(), grown.facts())
            self._index(grown)
