"""The export of one state of a store: pieces by year, gone on with wherever it ended."""

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from historian.catalog_records import TagRecord
from historian.errors import Conflict, NotFound, RequestInvalid
from historian.events import EVENT_KINDS
from historian.transfer.document import (
    NAME,
    Document,
    Journal,
    KindFacts,
    PieceFacts,
    SeriesFacts,
    StreamFacts,
    TagFacts,
    facts_of,
    read_document,
    settle,
)
from historian.transfer.pieces import BATCH_ROWS, LAYOUTS, EventBatches, Roll, SampleBatches
from historian.transfer.store import (
    TIME_MAX,
    TIME_MIN,
    Progress,
    TransferStore,
    event_pages,
    sample_pages,
)
from storage_engine.digest import (
    StreamDigest,
    YearDigest,
    events_schema,
    join_years,
    series_schema,
    year_of,
    year_start_ns,
)
from storage_engine.sample import Column, Damage, ValueType

JOURNAL = "export.journal"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported.

    Attributes
    ----------
    layout : str
        ``csv``, ``parquet`` or ``arrow``.
    tags : tuple of str
        Names or patterns with ``*`` and ``?``; empty: all tags and all events.
    events : tuple of str or None
        Kinds; None: all when no tags are named, else none.
    start_ns, end_ns : int or None
        start <= time < end; None: from the first row on, to the last.
    known_at_lsn : int or None
        As the store was known then; None: now.
    rows_per_piece : int
        Rows of a file, taken up to a whole number of batches.
    """

    layout: str = "csv"
    tags: tuple[str, ...] = ()
    events: tuple[str, ...] | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    known_at_lsn: int | None = None
    rows_per_piece: int = 2_097_152


@dataclass(frozen=True, slots=True)
class _Part:
    """A series or an event stream to be exported, and the years it may have rows in."""

    stream_id: int
    name: str
    type: ValueType
    columns: tuple[Column, ...]
    start_ns: int
    end_ns: int

    def covers(self, year: int) -> bool:
        return self.start_ns < year_start_ns(year + 1) and self.end_ns > year_start_ns(year)


class Export:
    """One export into one folder.

    Parameters
    ----------
    store : TransferStore
        Nobody else changes what is known at the export's lsn, save erasure and expiry.
    folder : Path
        Empty, or of the same export cut short.
    request : ExportRequest
    progress : Progress
    """

    def __init__(
        self, store: TransferStore, folder: Path, request: ExportRequest, progress: Progress
    ) -> None:
        if request.layout not in LAYOUTS:
            message = f"cannot export: got format {request.layout!r}, want one of: csv, parquet, "
            raise RequestInvalid(message + "arrow", got=request.layout, where="format")
        self._store = store
        self._engine = store.engine
        self._folder = folder
        self._request = request
        self._progress = progress
        self._journal = Journal(folder / JOURNAL)
        self._finished: dict[str, PieceFacts] = {}
        self._groups: dict[str, dict[str, Any]] = {}
        self._damage: set[str] = set()
        self._lsn = 0

    def run(self) -> Document:
        """Export, or go on, or find that it is done.

        Returns
        -------
        Document

        Raises
        ------
        Conflict
            The folder holds something else, or the store has lost rows meanwhile.
        NotFound
            A tag or kind that does not exist.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / NAME).exists():
            return self._done()
        header = self._begin()
        self._lsn = header["known_at_lsn"]
        tags = self._tags()
        series = self._series(tags)
        events = self._events()
        by_stream = self._write_groups(series, events)
        held = [year for years in by_stream.values() for year in years.values()]
        self._check_rows(sum(year.rows for year in held))
        start, end = header["start_ns"], header["end_ns"]
        if end is None:
            end = max((year.last_ns + 1 for year in held), default=0)
        if start is None:
            start = min((year.first_ns for year in held), default=end)
        document = Document(
            layout=self._request.layout,
            incarnation=header["incarnation"],
            known_at_lsn=self._lsn,
            created_ns=header["created_ns"],
            start_ns=start,
            end_ns=max(start, end),
            tags=tuple(_tag_facts(tag, by_stream) for tag in tags),
            events=tuple(_kind_facts(part, by_stream) for part in events),
            pieces=tuple(self._finished[path] for path in sorted(self._finished)),
            damage=tuple(sorted(self._damage)),
        )
        part = self._folder / (NAME + ".part")
        part.write_text(document.to_json(), encoding="utf-8")
        settle(part, self._folder / NAME)
        self._journal.remove()
        return document

    def _check_rows(self, digested: int) -> None:
        """Files finished earlier hold what is read now, unless the store lost rows meanwhile."""
        written = sum(piece.rows for piece in self._finished.values())
        if written != digested:
            raise Conflict(
                f"cannot go on with the export: got {digested} rows, want {written} as written; "
                "the store lost rows meanwhile, so begin anew in an empty folder",
                got=digested,
                want=written,
            )

    def _done(self) -> Document:
        document = read_document(self._folder)
        same = document.layout == self._request.layout
        if not same or document.incarnation != self._engine.incarnation.hex():
            raise Conflict(
                f"cannot export: got a folder with another export in {document.layout}, "
                "want an empty one",
                got=document.layout,
            )
        return document

    def _begin(self) -> dict[str, Any]:
        """Header of the journal: what was asked, and which state of the store it is."""
        request = dataclasses.asdict(self._request)
        asked = {**request, "tags": list(self._request.tags)}
        asked["events"] = None if self._request.events is None else list(self._request.events)
        lines = self._journal.read()
        if not lines:
            if any(self._folder.iterdir()):
                raise Conflict("cannot export: got a folder with other files, want an empty one")
            lsn = self._request.known_at_lsn
            header = {
                "request": asked,
                "incarnation": self._engine.incarnation.hex(),
                "known_at_lsn": self._engine.settled_lsn() if lsn is None else lsn,
                "created_ns": self._store.clock.now_ns(),
                "start_ns": self._request.start_ns,
                "end_ns": self._request.end_ns,
            }
            self._journal.add(header)
            return header
        header = lines[0]
        if header["request"] != asked or header["incarnation"] != self._engine.incarnation.hex():
            raise Conflict(
                "cannot go on with the export: got other options or another store than it was "
                "begun with, want the same, or an empty folder"
            )
        for line in lines[1:]:
            if "piece" in line:
                piece = PieceFacts(**line["piece"])
                self._finished[piece.path] = piece
            else:
                self._groups[line["group"]] = line
                self._damage.update(line["damage"])
        return header

    def _tags(self) -> list[TagRecord]:
        every = sorted(self._store.catalog.every(), key=lambda tag: tag.name)
        if not self._request.tags:
            return every if self._request.events is None else []
        chosen: dict[str, TagRecord] = {}
        for pattern in self._request.tags:
            found = [t for t in every if t.name == pattern or fnmatch.fnmatchcase(t.name, pattern)]
            if not found:
                message = f"cannot export: got tag {pattern!r}, want one of the catalog"
                raise NotFound(message, got=pattern, where="tags")
            chosen |= {tag.name: tag for tag in found}
        return [chosen[name] for name in sorted(chosen)]

    def _series(self, tags: Sequence[TagRecord]) -> list[_Part]:
        found = []
        for tag in tags:
            for one in tag.series:
                span = self._span(one.stream_id)
                found.append(_Part(one.stream_id, tag.name, one.type, (), *span))
        return found

    def _events(self) -> list[_Part]:
        kinds = self._request.events
        if kinds is None:
            kinds = () if self._request.tags else tuple(EVENT_KINDS)
        streams = self._store.streams()
        found = []
        for kind in sorted(kinds):
            if kind not in EVENT_KINDS:
                message = f"cannot export: got kind {kind!r}, want one of: "
                raise NotFound(message + ", ".join(EVENT_KINDS), got=kind, where="events")
            stream_id = streams.event_stream(kind)
            if stream_id is not None:
                columns = self._engine.streams()[stream_id].columns
                span = self._span(stream_id)
                found.append(_Part(stream_id, kind, ValueType.TEXT, columns, *span))
        return found

    def _span(self, stream_id: int) -> tuple[int, int]:
        """Window of a stream, cut to its extent; empty when it holds nothing."""
        extent = self._engine.extent(stream_id)
        if extent is None:
            return 0, 0
        asked = self._request.start_ns, self._request.end_ns
        start = extent[0] if asked[0] is None else max(asked[0], extent[0])
        end = min(extent[1] + 1, TIME_MAX)
        end = end if asked[1] is None else min(asked[1], end)
        return (start, end) if start < end else (max(start, TIME_MIN), max(start, TIME_MIN))

    def _write_groups(
        self, series: Sequence[_Part], events: Sequence[_Part]
    ) -> dict[int, dict[int, YearDigest]]:
        """Write year by year, then give the digests of each stream by year."""
        plan: list[tuple[str, int, str | None, list[_Part]]] = []
        for year in _years([*series, *events]):
            for type_ in sorted({part.type for part in series}):
                here = [p for p in series if p.type is type_ and p.covers(year)]
                if here:
                    plan.append((f"{type_.name.lower()}-{year}", year, None, here))
        for part in events:
            years = [year for year in _years([part]) if part.covers(year)]
            plan += [(f"{part.name}-{year}", year, part.name, [part]) for year in years]
        self._progress.stage("exporting", sum(len(parts) for *_, parts in plan))
        by_stream: dict[int, dict[int, YearDigest]] = {}
        for key, year, kind, parts in plan:
            line = self._groups.get(key) or self._write_group(key, year, kind, parts)
            if key in self._groups:
                self._progress.advance(len(parts))
            for stream_id, facts in line["digests"].items():
                by_stream.setdefault(int(stream_id), {})[year] = YearDigest(**facts)
        return by_stream

    def _write_group(
        self, key: str, year: int, kind: str | None, parts: Sequence[_Part]
    ) -> Mapping[str, Any]:
        samples = None if kind else parts[0].type.name.lower()
        rows_max = -(-self._request.rows_per_piece // BATCH_ROWS) * BATCH_ROWS
        roll = Roll(
            self._folder,
            self._request.layout,
            rows_max,
            samples=samples,
            events=kind,
            year=year,
            finished=self._finished,
            on_piece=self._note_piece,
        )
        digests: dict[str, Any] = {}
        damage: set[str] = set()
        batches = EventBatches(roll, kind, parts[0].columns) if kind else SampleBatches(roll)
        try:
            for part in parts:
                start = max(part.start_ns, year_start_ns(year))
                end = min(part.end_ns, year_start_ns(year + 1))
                digest = self._write_part(batches, part, start, end, damage)
                if digest is not None:
                    digests[str(part.stream_id)] = dataclasses.asdict(digest)
                self._progress.advance(1)
            batches.finish()
        finally:
            roll.discard()
        self._damage |= damage
        line = {"group": key, "digests": digests, "damage": sorted(damage)}
        self._journal.add(line)
        return line

    def _write_part(
        self,
        batches: SampleBatches | EventBatches,
        part: _Part,
        start_ns: int,
        end_ns: int,
        damage: set[str],
    ) -> YearDigest | None:
        window = (self._engine, part.stream_id, start_ns, end_ns, self._lsn)
        if isinstance(batches, SampleBatches):
            digest = StreamDigest.of_series(part.type)
            for page in sample_pages(*window):
                damage |= _told(part.name, page.damage)
                digest.add_samples(page.timestamp_ns, page.quality, page.value)
                batches.add(part.name, page)
        else:
            digest = StreamDigest.of_events(part.columns)
            for events in event_pages(*window):
                damage |= _told(part.name, events.damage)
                digest.add_events(events.timestamp_ns, events.event_id, events.data)
                batches.add(events)
        return next(iter(digest.years().values()), None)

    def _note_piece(self, piece: PieceFacts) -> None:
        self._journal.add({"piece": dataclasses.asdict(piece)})
        self._finished[piece.path] = piece


def _years(parts: Sequence[_Part]) -> range:
    held = [part for part in parts if part.start_ns < part.end_ns]
    if not held:
        return range(0)
    first = year_of(min(part.start_ns for part in held))
    return range(first, year_of(max(part.end_ns for part in held) - 1) + 1)


def _told(name: str, damage: Sequence[Damage]) -> set[str]:
    return {f"{name}: {one.path}, {one.first_ns} to {one.last_ns}: {one.what}" for one in damage}


def _stream_facts(
    stream_id: int, schema: bytes, by_stream: Mapping[int, Mapping[int, YearDigest]]
) -> StreamFacts:
    return facts_of(join_years(schema, by_stream.get(stream_id, {})))


def _tag_facts(tag: TagRecord, by_stream: Mapping[int, Mapping[int, YearDigest]]) -> TagFacts:
    texts = {name: value for name, value in tag.facts().items() if name != "type"}
    series = tuple(
        SeriesFacts(
            one.type.name.lower(), _stream_facts(one.stream_id, series_schema(one.type), by_stream)
        )
        for one in tag.series
    )
    return TagFacts(**texts, series=series)


def _kind_facts(part: _Part, by_stream: Mapping[int, Mapping[int, YearDigest]]) -> KindFacts:
    columns = tuple((column.name, column.type.name.lower()) for column in part.columns)
    return KindFacts(
        part.name, columns, _stream_facts(part.stream_id, events_schema(part.columns), by_stream)
    )
