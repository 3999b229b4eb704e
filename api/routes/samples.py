"""Samples over HTTP as columnar JSON; answered when they are durable."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.idempotency import idempotency_key
from api.parameters import no_parameters
from api.payload import ParsedSeries, parse_samples
from api.security import Writer, historian_of
from api.serialize import json_response
from historian.ingest_receipts import WHOLE_SERIES, RowReject, SeriesInput, WriteReceipt
from storage_engine.sample import ValueType

# Parsing this much JSON holds the event loop for about 2 ms; more is parsed in a thread.
PARSE_INLINE_BYTES_MAX = 64 * 1024
router = APIRouter(tags=["write"])


@router.post("/v1/samples", dependencies=[Depends(no_parameters)])
async def samples(request: Request, caller: Writer) -> Response:
    """Store samples of many tags; rows that cannot be stored are named, the rest is stored."""
    key = idempotency_key(request)
    historian = historian_of(request)
    budget = request.app.state.body_budget
    rows_max = historian.config.ingest.rows_per_request_max

    def type_of(name: str) -> ValueType | None:
        tag = historian.catalog.find(name)
        return None if tag is None else tag.type

    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        parsed = await parse(body, lambda: parse_samples(body, type_of, rows_max))
        rounds = _rounds(parsed)
        answers = []
        for position, part in enumerate(rounds):
            receipt = await historian.ingest.put_samples(
                [_input(s) for s in part], caller.principal, key if position == 0 else None
            )
            answers.append((part, receipt))
    return json_response(_answer(answers, historian.config.ingest.rejects_listed_max))


async def parse(body: bytes, work: Callable[[], Any]) -> Any:
    """Parse here when it is short, else in a thread, so that the event loop goes on."""
    return work() if len(body) <= PARSE_INLINE_BYTES_MAX else await asyncio.to_thread(work)


def _rounds(parsed: Iterable[ParsedSeries]) -> list[list[ParsedSeries]]:
    """Split into writes that hold each tag once, so that a reject's row is unambiguous.

    The first is everything that fits its tag; what follows does not fit and is sent so that it is
    rejected, counted and kept in quarantine.
    """
    rounds: list[list[ParsedSeries]] = [[]]
    count: dict[str, int] = {}
    for series in parsed:
        position = count.get(series.tag, 0)
        count[series.tag] = position + 1
        if position == len(rounds):
            rounds.append([])
        rounds[position].append(series)
    return rounds


def _input(series: ParsedSeries) -> SeriesInput:
    return SeriesInput(series.tag, series.timestamp_ns, series.quality, series.value)


def _answer(
    answers: list[tuple[list[ParsedSeries], WriteReceipt]], listed_max: int
) -> dict[str, Any]:
    rejects = [
        told
        for part, receipt in answers
        for reject in receipt.rejects
        for told in _told(reject, {s.tag: s for s in part})
    ]
    first = answers[0][1]
    return {
        "stored": sum(receipt.stored for _, receipt in answers),
        "rejected": sum(receipt.rejected for _, receipt in answers),
        "duplicate": first.duplicate,
        "lsn": str(first.lsn),
        "rejects": rejects[:listed_max],
        "former_names": dict(pair for _, receipt in answers for pair in receipt.former_names),
    }


def _told(reject: RowReject, sent: dict[str, ParsedSeries]) -> list[dict[str, Any]]:
    """Name rejected rows as the caller numbered them; a null row means all of the entry."""
    series = sent.get(reject.tag)
    rows = None if series is None else series.rows
    numbers: list[int | None]
    if reject.row != WHOLE_SERIES:
        numbers = [reject.row if rows is None else int(rows[reject.row])]
    else:
        numbers = [None] if rows is None else rows.tolist()
    return [{"tag": reject.tag, "row": number, "reason": reject.reason} for number in numbers]
