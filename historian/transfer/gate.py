"""What may come in: tags found or made with their types, and times within the store's bounds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from historian.catalog_records import (
    EDITABLE,
    NUMBER_PROPERTIES,
    NUMERIC,
    SeriesRecord,
    TagDraft,
    TagRecord,
    series_uuid,
)
from historian.errors import Conflict, RequestInvalid
from historian.transfer.document import TagFacts
from historian.transfer.mapping import TYPES
from historian.transfer.store import TransferStore
from historian.transfer.texts import Bad
from storage_engine.sample import Int64Array, ValueType


class TagGate:
    """Streams of the tags that an import names; fulfils ``typed.Gate``.

    Parameters
    ----------
    store : TransferStore
    tags : mapping of str to TagFacts
        Texts for tags that are new, as an export of ours gives them.
    principal : str
        Who is entered in the audit for new tags.
    dry : bool
        Make nothing.

    Attributes
    ----------
    made : int
        Tags that were new.
    """

    def __init__(
        self, store: TransferStore, tags: Mapping[str, TagFacts], principal: str, *, dry: bool
    ) -> None:
        self._store = store
        self._catalog = store.catalog
        self._tags = tags
        self._principal = principal
        self._dry = dry
        self._waiting: dict[str, dict[str, Any]] = {}
        self._ids: dict[tuple[str, ValueType], int] = {}
        self._reasons: dict[tuple[str, ValueType], str] = {}
        self._least_ns = store.ingest.time_min_ns
        self._most_ns = store.clock.now_ns() + store.ingest.time_ahead_max_ns
        self.made = 0

    def prepare(self) -> None:
        """Make all tags of an export that are not there yet."""
        for tag in self._tags.values():
            for series in tag.series:
                self.refuse(tag.name, TYPES[series.type])

    def type_of(self, tag: str) -> ValueType | None:
        """Type of a tag that exists."""
        known = self._catalog.find(tag)
        return known.type if known is not None else None

    def stream_id(self, tag: str, type_: ValueType) -> int:
        """Stream of a tag that was not refused."""
        return self._ids[tag, type_]

    def refuse(self, tag: str, type_: ValueType) -> str:
        """Why rows of a tag and type cannot come in; empty when they have a stream."""
        key = (tag, type_)
        if key in self._ids:
            return ""
        if key not in self._reasons:
            try:
                self._ids[key] = self._find(tag, type_)
            except (RequestInvalid, Conflict) as error:
                self._reasons[key] = str(error)
        return self._reasons.get(key, "")

    def _find(self, name: str, type_: ValueType) -> int:
        tag = self._catalog.find(name)
        if tag is None:
            self.made += 1
            draft = self._draft(name, type_)
            draft.check()
            if self._dry:
                return 0
            tag = self._catalog.declare_tag(draft, self._principal)
        known = tag.series_of(type_)
        if known is not None:
            return known.stream_id
        TagDraft(name, type_).check()
        return 0 if self._dry else self._grown(tag, type_)

    def _grown(self, tag: TagRecord, type_: ValueType) -> int:
        """Give a tag a further series, as when its source sends another type."""
        uid = series_uuid(tag.uuid, len(tag.series), type_)
        stream_id = self._store.streams().create_series([(uid, type_)])[0]
        self._catalog.attach_series(tag, SeriesRecord(stream_id, uid, type_), self._principal)
        if type_ in NUMERIC and tag.name in self._waiting:
            self._catalog.edit_tag(tag.name, self._waiting.pop(tag.name), self._principal)
        return stream_id

    def _draft(self, name: str, type_: ValueType) -> TagDraft:
        facts = self._tags.get(name)
        if facts is None:
            return TagDraft(name, type_)
        texts = {field: getattr(facts, field) for field in EDITABLE}
        if type_ not in NUMERIC:  # they come with the series of numbers
            texts |= dict.fromkeys(NUMBER_PROPERTIES)
            self._waiting[name] = {field: getattr(facts, field) for field in NUMBER_PROPERTIES}
        # An address feeds one tag: where it is taken already, the history comes without it.
        if facts.address and self._catalog.find_address(facts.source, facts.address) is None:
            texts |= {"source": facts.source, "address": facts.address}
        return TagDraft(name, type_, **texts)

    def refused_times(self, timestamp_ns: Int64Array) -> Bad:
        """Rows that lie outside what the store takes, and why."""
        early = timestamp_ns < self._least_ns
        late = timestamp_ns > self._most_ns
        bad = dict.fromkeys(np.flatnonzero(early).tolist(), "got a time before ingest.time_min")
        if late.any():
            why = "got a time ahead of the clock by more than ingest.time_ahead_max_s"
            bad |= dict.fromkeys(np.flatnonzero(late).tolist(), why)
        return bad
