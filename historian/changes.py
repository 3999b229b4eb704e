"""What people do to history: edit, delete, erase, annotate, and look at the trail of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from historian.catalog import Catalog
from historian.errors import NotFound, RequestInvalid
from historian.events import EVENT_KINDS
from historian.ingest import Ingest
from historian.ingest_receipts import SeriesInput, WriteReceipt
from historian.ingest_streams import Streams
from storage_engine.changes import CHANGES_UUID, Change, Verb
from storage_engine.engine import Engine
from storage_engine.engine_erasure import Erasure
from storage_engine.sample import EventColumns
from storage_engine.streams import Duplicates
from storage_engine.summaries import CLASS_PREFIX

__all__ = ["Changes", "Target", "Verb"]

_WINDOW = (-(2**63), 2**63 - 1)
_log = structlog.get_logger("historian.changes")


@dataclass(frozen=True, slots=True)
class Target:
    """What a change is about: one tag, or one kind of event; the other is empty."""

    tag: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return self.tag or f"events of kind {self.kind}"


class Changes:
    """Changes of history, each with principal and reason.

    Parameters
    ----------
    store : callable
        Gives the open engine and its streams; raises NotReady while there is none.
    catalog : Catalog
    ingest : Ingest
        Stores the new values of an edit.
    rebuild : callable
        Derives again what stands on events, after some of them were removed.
    """

    def __init__(
        self,
        store: Callable[[], tuple[Engine, Streams]],
        catalog: Catalog,
        ingest: Ingest,
        rebuild: Callable[[], None],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._ingest = ingest
        self._rebuild = rebuild

    def _streams_of(self, target: Target) -> list[int]:
        _, streams = self._store()
        if target.tag:
            tag = self._catalog.find(target.tag)
            if tag is None:
                raise NotFound(f"cannot find tag {target.tag!r}", got=target.tag, where="tag")
            return [series.stream_id for series in tag.series]
        stream = streams.event_stream(target.kind)
        if stream is None:
            want = ", ".join(sorted(EVENT_KINDS))
            raise NotFound(
                f"cannot find kind of event {target.kind!r}: want one of {want}",
                got=target.kind,
                where="kind",
            )
        return [stream]

    async def remove(
        self, verb: Verb, target: Target, window: tuple[int, int], principal: str, reason: str
    ) -> int:
        """Delete or erase a window of a tag or kind, durable on return.

        Parameters
        ----------
        verb : Verb
            DELETE or ERASE.
        target : Target
        window : tuple of int
            start <= time < end, nanoseconds UTC.
        principal, reason : str

        Returns
        -------
        int
            Lsn of the last record.

        Raises
        ------
        NotFound
            No such tag or kind.
        InvalidArgument
            Empty window, no reason.
        NotReady, LowDisk, LimitExceeded, EngineClosed
            Nothing was acknowledged; the same request may be sent again.
        """
        lsn = await asyncio.to_thread(
            self._record, verb, target, window, principal=principal, reason=reason, comment=""
        )
        _log.info(str(verb), target=str(target), principal=principal, lsn=lsn)
        if target.kind:
            await asyncio.to_thread(self._rebuild)
        return lsn

    async def annotate(
        self, target: Target, window: tuple[int, int], principal: str, reason: str, comment: str
    ) -> int:
        """Put a comment on a window of a tag or kind, durable on return; raises as remove."""
        return await asyncio.to_thread(
            self._record,
            Verb.ANNOTATE,
            target,
            window,
            principal=principal,
            reason=reason,
            comment=comment,
        )

    async def edit(self, series: SeriesInput, principal: str, reason: str) -> WriteReceipt:
        """Write values over those of a tag; the trail first, then the values, durable on return.

        Parameters
        ----------
        series : SeriesInput
            One tag; the values before stay as revisions.
        principal, reason : str

        Raises
        ------
        RequestInvalid
            There are no rows.
        NotFound, InvalidArgument, NotReady, LowDisk, LimitExceeded, EngineClosed
            As :meth:`remove`.
        """
        if not len(series.timestamp_ns):
            raise RequestInvalid("cannot edit: got no rows, want at least one", where="time")
        first, last = int(series.timestamp_ns.min()), int(series.timestamp_ns.max())
        await asyncio.to_thread(
            self._record,
            Verb.EDIT,
            Target(tag=series.tag),
            (first, min(last + 1, _WINDOW[1])),
            principal=principal,
            reason=reason,
            comment=f"{len(series.timestamp_ns)} rows",
        )
        return await self._ingest.put_samples([series], principal)

    def _record(
        self,
        verb: Verb,
        target: Target,
        window: tuple[int, int],
        *,
        principal: str,
        reason: str,
        comment: str,
    ) -> int:
        engine, _ = self._store()
        lsn = 0
        self._check_joined(verb, target, window)
        for stream_id in self._streams_of(target):
            lsn = engine.change(Change(verb, stream_id, *window, principal, reason, comment))
        engine.wait_durable(lsn)
        return lsn

    def _check_joined(self, verb: Verb, target: Target, window: tuple[int, int]) -> None:
        """Refuse to change what a tag shows of another: it would be done where nobody looks."""
        tag = self._catalog.find(target.tag) if target.tag else None
        join = None if tag is None else self._catalog.joins.before(tag.id)
        if tag is None or join is None or window[0] >= join.from_ns:
            return
        former = self._catalog.find_id(join.former).name
        got, want = f"a time before {join.from_ns}", f"the tag {former!r}, whose samples these are"
        message = f"cannot {verb} samples of {tag.name!r}: got {got}, want {want}"
        raise RequestInvalid(message, got=got, want=want, where="tag")

    def trail(
        self,
        window: tuple[int, int],
        target: Target | None = None,
        known_at_lsn: int | None = None,
    ) -> list[dict[str, Any]]:
        """Changes recorded in a window of record time, oldest first.

        Parameters
        ----------
        window : tuple of int
            start <= record time < end, nanoseconds UTC.
        target : Target, optional
            Only those of a tag or kind.
        known_at_lsn : int, optional

        Returns
        -------
        list of dict
            time_ns, lsn, verb, tag or kind, start_ns, end_ns, principal, reason, comment.

        Raises
        ------
        NotFound, NotReady
        """
        engine, streams = self._store()
        wanted = None if target is None else set(self._streams_of(target))
        into = next((i for i, s in engine.streams().items() if s.uuid == CHANGES_UUID), None)
        if into is None:
            return []
        found = engine.read_events(into, *window, known_at_lsn=known_at_lsn)
        rows = _rows(found, lambda stream: self._named(streams, stream))
        streams_of_rows = [row.pop("stream") for row in rows]
        return [
            row
            for row, stream in zip(rows, streams_of_rows, strict=True)
            if wanted is None or stream in wanted
        ]

    def _named(self, streams: Streams, stream_id: int) -> dict[str, str]:
        tag = self._catalog.find_stream(stream_id)
        if tag is not None:
            return {"tag": tag.name}
        kind = streams.kind_of(stream_id)
        return {"kind": kind or self._summaries_named(stream_id) or f"stream {stream_id}"}

    def _summaries_named(self, stream_id: int) -> str | None:
        """Name of a stream of summaries, None for any other."""
        engine, _ = self._store()
        info = engine.streams()[stream_id]
        if not info.retention_class.startswith(CLASS_PREFIX):
            return None
        for tag in self._catalog.every():
            ids = [series.stream_id for series in tag.series]
            if any(i in engine.streams() and engine.companion(i) == stream_id for i in ids):
                return f"summaries of {tag.name}"
        return None

    def erasures(self) -> list[dict[str, Any]]:
        """Erased windows that are not known to be physically gone, and what they wait for."""
        engine, streams = self._store()
        return [
            _erasure(one, self._named(streams, one.tombstone.stream_id))
            for one in engine.erasures()
        ]

    def set_duplicates(self, tag: str, rule: str, principal: str) -> None:
        """Set which of several values of one time a plain read of a tag gives.

        Parameters
        ----------
        tag : str
        rule : str
            ``last``, ``first`` or ``all``; a rule of reading, so it holds for all history.
        principal : str

        Raises
        ------
        NotFound, RequestInvalid, NotReady
        """
        names = [one.name.lower() for one in Duplicates]
        if rule not in names:
            want = ", ".join(names)
            message = f"cannot set duplicates: got {rule!r}, want one of {want}"
            raise RequestInvalid(message, got=rule, where="rule")
        engine, _ = self._store()
        ids = self._streams_of(Target(tag=tag))
        before = engine.streams()[ids[-1]].duplicates.name.lower()
        for stream_id in ids:
            engine.set_stream(stream_id, duplicates=Duplicates[rule.upper()])
        database = self._catalog.database
        with database.transaction():
            database.record(principal, "set duplicates", tag, {"rule": before}, {"rule": rule})

    def duplicates(self, tag: str) -> str:
        """Rule of a tag: ``last``, ``first`` or ``all``."""
        engine, _ = self._store()
        return engine.streams()[self._streams_of(Target(tag=tag))[-1]].duplicates.name.lower()


def _rows(found: EventColumns, named: Callable[[int], dict[str, str]]) -> list[dict[str, Any]]:
    values = {name: column.objects() for name, column in found.data.items()}
    rows = []
    for place, (time_ns, lsn) in enumerate(
        zip(found.timestamp_ns.tolist(), found.lsn.tolist(), strict=True)
    ):
        facts = {name: column[place] for name, column in values.items()}
        rows.append({"time_ns": time_ns, "lsn": lsn, **facts, **named(int(str(facts["stream"])))})
    return rows


def _erasure(one: Erasure, named: dict[str, str]) -> dict[str, Any]:
    stone = one.tombstone
    return {
        **named,
        "lsn": stone.lsn,
        "start_ns": stone.start_ns,
        "end_ns": stone.end_ns,
        "waits_for": list(one.waits_for),
    }
