"""Frames from collectors: checked, bound, appended in order, acknowledged when durable."""

import asyncio
from collections import Counter

from historian.catalog_descriptions import Descriptions
from historian.events import EVENT_KINDS
from historian.ingest_checks import Codes
from historian.ingest_events import normalise, notice_events
from historian.ingest_log import Appending, Heartbeat, IngestLog, Told, take
from historian.ingest_receipts import FrameReceipt, FramesReceipt, Why
from historian.ingest_rows import (
    Refused,
    by_source,
    check_frame,
    missing_event,
    payload_of,
    refusal,
    rejected_rows,
    section_batch,
    stored_by_source,
)
from historian.ingest_slots import SlotTable, SlotTables, clash, enter, resolve, restore, unsettled
from historian.quarantine import Row
from storage_engine.engine import Appended
from storage_engine.errors import DataError, LimitExceeded
from storage_engine.frame import (
    ZERO_ID,
    Declaration,
    Frame,
    decode_frame,
    peek_envelope,
    split_frames,
)

_YIELD_ROWS = 2_000  # rows after which other work gets its turn


class FrameIntake:
    """Takes bodies of concatenated frames.

    Parameters
    ----------
    log : IngestLog
        The way into the engine.
    """

    def __init__(self, log: IngestLog) -> None:
        self._log = log
        config = log.config
        self._rows_max = config.rows_per_request_max
        self._descriptions = Descriptions(log.catalog, config.descriptions_waiting_max)
        self._tables = SlotTables(config.producers_max, config.slots_per_producer_max)

    def forget(self) -> None:
        """Forget all slots, because the engine is another one now."""
        self._tables.clear()

    async def put(self, body: bytes, principal: str) -> FramesReceipt:
        """Store a body of frames; see ``Ingest.put_frames``."""
        receipts: list[FrameReceipt] = []
        with self._log.admit(len(body)) as appending:
            lsn, rows = 0, 0
            told: list[Told] = []
            beats: list[Heartbeat] = []
            try:
                for piece in split_frames(body):
                    receipt, at = await self._take(appending, piece, principal, told, beats)
                    receipts.append(receipt)
                    lsn = max(lsn, at)
                    rows += receipt.rows
                    if rows >= _YIELD_ROWS:
                        rows = 0
                        await self._log.clock.sleep(0)
            except DataError as error:  # nothing behind it can be found
                receipts.append(_refused(None, str(error)))
            await self._log.settle(appending, lsn, told)
            if beats:
                self._log.on_heartbeats(beats)
        for receipt in receipts:
            self._log.metrics.frame(receipt.status)
        return FramesReceipt(tuple(receipts))

    async def _take(
        self,
        appending: Appending,
        piece: memoryview,
        principal: str,
        told: list[Told],
        beats: list[Heartbeat],
    ) -> tuple[FrameReceipt, int]:
        """One frame: the receipt, and the lsn to wait for."""
        try:
            frame = decode_frame(piece, rows_max=self._rows_max)
        except (DataError, LimitExceeded) as error:
            return _refused(piece, str(error)), 0
        envelope = frame.envelope
        if envelope.incarnation not in {ZERO_ID, appending.engine.incarnation}:
            reason = f"the frame is for store {envelope.incarnation.hex()}"
            reason += f", this is {appending.engine.incarnation.hex()}"
            return _refused(piece, reason), 0
        table = self._tables.find(envelope.producer_id, envelope.epoch)
        if table is None:
            table = self._tables.add(envelope.producer_id, envelope.epoch)
            bindings = appending.engine.bindings(envelope.producer_id, envelope.epoch)
            restore(table, dict(bindings), self._log.catalog, appending.streams)
        async with table.lock:
            reason = clash(table, frame.declarations)
            if reason:
                return _refused(piece, reason), 0
            fresh = unsettled(table, frame.declarations)
            if fresh:
                await self._declare(appending, frame, table, fresh, principal)
            await self._describe(frame, fresh, principal)
            taken = self._append(appending, frame, table, told)
            beats += [n.facts for n in frame.notices if n.kind == "heartbeat"]
            return taken

    async def _declare(
        self,
        appending: Appending,
        frame: Frame,
        table: SlotTable,
        fresh: list[Declaration],
        principal: str,
    ) -> None:
        """Bind new slots: the engine first, then the table, so that a failure leaves neither."""
        resolved = await asyncio.to_thread(
            resolve, fresh, self._log.catalog, appending.streams, principal
        )
        bindings = {
            one.slot.declaration.slot: one.stream_id
            for one in resolved
            if one.stream_id is not None and one.slot.declaration is not None
        }
        if bindings:
            envelope = frame.envelope
            appending.engine.bind(envelope.producer_id, envelope.epoch, bindings)
        enter(table, resolved)

    async def _describe(self, frame: Frame, fresh: list[Declaration], principal: str) -> None:
        """Enter what sources say of their addresses, now or once the tags are there."""
        notices = [notice.facts for notice in frame.notices if notice.kind == "metadata"]
        keys = self._descriptions.learn(notices) if notices else []
        if fresh and len(self._descriptions):
            keys += [(one.source, one.address) for one in fresh]
        keys = self._descriptions.waits(keys)
        if keys:
            await asyncio.to_thread(self._descriptions.enter, keys, principal)

    def _append(
        self, appending: Appending, frame: Frame, table: SlotTable, told: list[Told]
    ) -> tuple[FrameReceipt, int]:
        """Check the rows, append the frame and whatever it makes us report. Nothing is awaited."""
        envelope = frame.envelope
        codes = check_frame(frame, table, self._log.accepted_times())
        before = appending.engine.producer(envelope.producer_id)
        again = before is not None and (envelope.epoch, envelope.sequence) <= (
            before.epoch,
            before.sequence,
        )
        refused = [] if codes is None else rejected_rows(frame, table, codes)
        if refused and not again:
            told += self._quarantine(appending, frame, refused)
        appended = appending.engine.append(frame, None if codes is None else codes != 0)
        status = "duplicate" if appended.duplicate else "stored"
        rejected = len(refused)
        if not appended.duplicate:
            rejected += len(appended.conflicts)
            told += self._events(frame, table, codes, appended)
            refused += self._report(appending, frame, table, appended, told)
            self._count(frame, table, codes)
        listed = tuple((r.row, r.reason) for r in refused[: self._log.config.rejects_listed_max])
        receipt = FrameReceipt(
            envelope.producer_id,
            envelope.epoch,
            envelope.sequence,
            status,
            envelope.row_count,
            rejected,
            None,
            listed,
        )
        return receipt, appended.lsn

    def _quarantine(self, appending: Appending, frame: Frame, refused: list[Refused]) -> list[Told]:
        """Count rejected rows by source, and keep as many as the bound allows."""
        log, envelope = self._log, frame.envelope
        key = f"{envelope.producer_id.hex()}/{envelope.epoch}/{envelope.sequence}"
        kept: list[Row] = []
        for source, of_source in by_source(refused).items():
            for why, count in Counter(one.why for one in of_source).items():
                log.metrics.rejected(source, why.word, count)
            allowed = log.quarantine.allow(source, len(of_source))
            for one in of_source[: min(allowed, log.config.quarantine_rows_per_request_max)]:
                payload = payload_of(frame, one.row)
                row_key = f"{key}/{one.row}"
                kept.append(log.quarantine.row(row_key, source, one.address, one.reason, payload))
        return log.write_events(appending, "quarantine", kept)

    def _events(
        self, frame: Frame, table: SlotTable, codes: Codes | None, appended: Appended
    ) -> list[Told]:
        """Event rows that this frame added, with all columns of their kind."""
        told: list[Told] = []
        conflicts = set(appended.conflicts)
        first = sum(len(section) for section in frame.samples)
        for section in frame.events:
            rows = range(first, first + len(section))
            first += len(section)
            slot = table.get(section.slot)
            if slot is None or slot.address not in EVENT_KINDS:
                continue
            kept = [
                row - rows.start
                for row in rows
                if row not in conflicts and (codes is None or not codes[row])
            ]
            if kept:
                batch = normalise(section_batch(section, slot.address))
                told.append((slot.address, take(batch, kept), appended.lsn))
        return told

    def _report(
        self,
        appending: Appending,
        frame: Frame,
        table: SlotTable,
        appended: Appended,
        told: list[Told],
    ) -> list[Refused]:
        """Write down what came beside the rows: notices, missing frames, conflicting events."""
        log, envelope = self._log, frame.envelope
        notices = notice_events(frame.notices, envelope, log.accepted_times(), log.clock.now_ns())
        if appended.missing_frames or appended.chain_broken:
            log.metrics.missing(appended.missing_frames)
            notices.setdefault("gap", []).append(missing_event(frame, appended, log.clock.now_ns()))
        for kind, rows in notices.items():
            kept = self._messages(rows) if kind == "quarantine" else rows
            told += log.write_events(appending, kind, kept)
        conflicts = [refusal(frame, table, row, Why.EVENT_CONFLICT) for row in appended.conflicts]
        if conflicts:
            told += self._quarantine(appending, frame, conflicts)
        return conflicts

    def _messages(self, rows: list[Row]) -> list[Row]:
        """Count messages that no mapping took, and keep as many per source as the bound allows."""
        log = self._log
        wanted = Counter(str(facts.get("source", "")) for _, _, facts in rows)
        allowed = {}
        for source, count in wanted.items():
            log.metrics.rejected(source, Why.SOURCE.word, count)
            allowed[source] = log.quarantine.allow(source, count)
        kept = []
        for row in rows:
            source = str(row[2].get("source", ""))
            if allowed[source] > 0:
                allowed[source] -= 1
                kept.append(row)
        return kept

    def _count(self, frame: Frame, table: SlotTable, codes: Codes | None) -> None:
        """Count the rows stored by source, and how far behind they lie."""
        envelope = frame.envelope
        lag_s = (self._log.clock.now_ns() - envelope.max_time_ns) / 1e9
        for source, rows in stored_by_source(frame, table, codes).items():
            self._log.metrics.stored(source, rows, lag_s)


def _refused(piece: memoryview | None, reason: str) -> FrameReceipt:
    """Return the receipt of a frame that was not taken; says whose it is when that can be read."""
    try:
        envelope = None if piece is None else peek_envelope(piece)
    except DataError:
        envelope = None
    if envelope is None:
        return FrameReceipt(ZERO_ID, 0, 0, "refused", 0, 0, reason)
    key = (envelope.producer_id, envelope.epoch, envelope.sequence)
    return FrameReceipt(*key, "refused", envelope.row_count, envelope.row_count, reason)
