"""Answers that come in pieces, so that their length does not matter to the server's memory.

What goes wrong before the first piece is an error as any other. After it the line breaks: a chunked
answer without its end, an Arrow stream without its end mark, so that nobody takes a part for all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog
from starlette.responses import Response, StreamingResponse

from api.arrow import ArrowStream
from api.csv_table import csv_bytes
from api.encoding import encode
from api.forms import Form
from api.serialize import headers_of, media_of, ndjson_bytes, plain_json
from api.table import Table, TimeForm
from query.work import current_work

STREAMED: frozenset[Form] = frozenset({"csv", "ndjson", "arrow"})
_log = structlog.get_logger("historian.api")


class BrokenOff(Exception):  # noqa: N818 - what happened to the answer
    """An answer ends before its end; the line breaks."""


class _Writer(Protocol):
    def piece(self, table: Table, damage: list[Any]) -> bytes: ...

    def end(self) -> bytes: ...


class _Csv:
    def __init__(self, _first: Table, times: TimeForm) -> None:
        self._times: TimeForm = times
        self._header = True

    def piece(self, table: Table, damage: list[Any]) -> bytes:
        if damage:
            raise BrokenOff(f"damage that CSV cannot tell: {damage[0]}")
        header, self._header = self._header, False
        return csv_bytes(table, self._times, header=header)

    def end(self) -> bytes:
        return b""


class _Ndjson:
    def __init__(self, _first: Table, times: TimeForm) -> None:
        self._times: TimeForm = times

    def piece(self, table: Table, damage: list[Any]) -> bytes:
        told = encode({"damage": damage}) + b"\n" if damage else b""
        return told + ndjson_bytes(table, self._times)

    def end(self) -> bytes:
        return b""


class _Arrow:
    def __init__(self, first: Table, _times: TimeForm) -> None:
        self._stream = ArrowStream(encode(plain_json(first.facts)), first)

    def piece(self, table: Table, damage: list[Any]) -> bytes:
        return self._stream.piece(table, encode({"damage": damage}) if damage else b"")

    def end(self) -> bytes:
        return self._stream.end()


_WRITERS: dict[Form, Callable[[Table, TimeForm], _Writer]] = {
    "csv": _Csv,
    "ndjson": _Ndjson,
    "arrow": _Arrow,
}


def stream_response(
    tables: Iterator[Table],
    form: Form,
    times: TimeForm,
    facts: Mapping[str, Any] | None = None,
) -> Response:
    """Answer tables of the same columns, one behind the other, as one.

    Parameters
    ----------
    tables : iterator of Table
        One at least. The first one's facts are those of the answer; what a later one says of
        ``damage`` that none said before is told in its place, where the form can.
    form : str
        One of ``STREAMED``.
    times : str
        How CSV and NDJSON write times.
    facts : mapping, optional
        Those of the answer; None: the first table's.
    """
    first = next(tables)
    if facts is not None:
        first = replace(first, facts={**first.facts, **facts})
    writer = _WRITERS[form](first, times)
    pieces = _pieces(writer, first, tables)
    return StreamingResponse(pieces, 200, headers_of(first, form), media_of(form))


def _pieces(writer: _Writer, first: Table, tables: Iterator[Table]) -> Iterator[bytes]:
    seen = list(first.facts.get("damage", ()))
    yield writer.piece(first, [])
    try:
        for table in tables:
            work = current_work()
            if work is not None:
                work.renew()
            damage = [one for one in table.facts.get("damage", ()) if one not in seen]
            seen += damage
            yield writer.piece(table, plain_json(damage))
        yield writer.end()
    except Exception as error:
        _log.warning("answer broken off", why=str(error))
        raise
