"""What a server's own archive has of a time that we missed.

References
----------
OPC 10000-4, 5.11.3 (HistoryRead); OPC 10000-11, 6.5.3 (ReadRawModifiedDetails).
"""

import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.ua.uaerrors import UaStatusCodeError

from connectors.connector import SourceUnavailable
from connectors.opcua.calls import Pieces
from connectors.opcua.general import Reading
from connectors.opcua.items import NEVER
from connectors.opcua.notification import Notification, changes_of
from connectors.opcua.session import Session
from connectors.opcua.variants import Bytes, Packed, built_in, data_value, extension

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_ANSWER, _DATA = "i=667", "i=658"
_DIAGNOSTICS = 25
_U32 = struct.Struct("<I")
_NODES_MAX, _VALUES_MAX = 100, 1_000  # of one call, and of one node in it: some MB an answer
_TRIES_MAX = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FULL = {ua.StatusCodes.BadNoContinuationPoints, ua.StatusCodes.BadContinuationPointInvalid}
_BAD = 0x8000_0000


@dataclass(slots=True)
class Span:
    """What is wanted of an item's history: values with ``after_ns`` < time < ``until_ns``.

    Attributes
    ----------
    anchor_ns : int
        A value of this time or older shows that the archive goes back far enough.
    refusal : str
        Why the server has none; empty where it answered.
    anchored, reached : bool
        Whether the archive has a value at the anchor or before, and at ``until_ns`` or later:
        between them it is whole.
    read_ns : int
        Time of the latest value found; NEVER without one.
    """

    handle: int
    address: str
    after_ns: int
    until_ns: int
    anchor_ns: int
    refusal: str = ""
    anchored: bool = False
    reached: bool = False
    read_ns: int = NEVER
    point: bytes | None = None
    tries: int = 0

    def takes(self, time_ns: int) -> bool:
        """Note the time of a value; whether it is wanted."""
        self.anchored = self.anchored or time_ns <= self.anchor_ns
        self.reached = self.reached or time_ns >= self.until_ns
        if not self.after_ns < time_ns < self.until_ns:
            return False
        self.read_ns = max(self.read_ns, time_ns)
        return True

    def again(self) -> bool:
        """Begin once more behind the last value read; False when that was tried often enough."""
        self.point, self.tries = None, self.tries + 1
        self.after_ns = max(self.after_ns, self.read_ns - 1)  # others may have the same time
        if self.tries > _TRIES_MAX:
            self.refusal = "the server loses its place in the archive"
        return not self.refusal


class History:
    """Reads the archive of one session's server.

    Parameters
    ----------
    session : Session
    url : str
    """

    def __init__(self, session: Session, url: str) -> None:
        self._session = session
        self._calls = Pieces(url, _NODES_MAX)
        self._beyond_ns = 0
        self._calls.limit(session.nodes.limits.nodes_per_history_read)

    async def read(
        self, spans: Sequence[Span], *, beyond_ns: int = 0
    ) -> AsyncIterator[Notification]:
        """Read spans, in order of their beginning; each says afterwards what became of it.

        Parameters
        ----------
        spans : sequence of Span
        beyond_ns : int
            Look so far behind their ends, whether the archive goes on there.

        Yields
        ------
        Notification
            Values of one answer, as if a subscription had brought them.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        """
        self._beyond_ns = beyond_ns
        waiting = sorted(spans, key=lambda span: span.after_ns)
        while waiting:
            chunk, waiting = waiting[: self._calls.size], waiting[self._calls.size :]
            broken: list[Span] = []
            while chunk:
                found: list[Notification] = []
                statuses = await self._calls.run(chunk, partial(self._call, found))
                for notification in found:
                    yield notification
                broken += [s for s, status in zip(chunk, statuses, strict=True) if status in _FULL]
                chunk = [span for span in chunk if span.point is not None and not span.reached]
            if broken:  # the server cannot keep its place in so many archives at a time
                self._calls.size = max(1, self._calls.size // 2)
                waiting = [span for span in broken if span.again()] + waiting

    async def _call(self, found: list[Notification], spans: Sequence[Span]) -> list[int]:
        """One call; the status of each span."""
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime = _moment(min(span.after_ns for span in spans))
        details.EndTime = _moment(max(span.until_ns for span in spans) + 1_999 + self._beyond_ns)
        details.NumValuesPerNode = _VALUES_MAX
        details.ReturnBounds = False
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = details
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ReleaseContinuationPoints = False
        for span in spans:
            node = ua.HistoryReadValueId()
            node.NodeId = self._session.nodes.node_id(span.address) or ua.NodeId()
            node.ContinuationPoint = span.point
            request.Parameters.NodesToRead.append(node)
        try:
            body = bytes(await self._session.send(request))
        except UaStatusCodeError as error:
            if isinstance(error, self._calls.MENDABLE):
                raise
            for span in spans:
                span.refusal, span.point = f"got {type(error).__name__}", None
            return [0] * len(spans)
        try:
            return self._take(body, spans, found)
        except ValueError as error:
            raise SourceUnavailable(f"cannot read history: {error}") from error

    def _take(self, body: bytes, spans: Sequence[Span], found: list[Notification]) -> list[int]:
        data = Bytes(body)
        kind = data.node_id()
        if kind != _ANSWER:
            raise ValueError(f"got message {kind}, want an answer to HistoryRead")
        data.take(8 + 4 + 4)
        built_in(data, _DIAGNOSTICS)
        for _ in range(data.count()):
            data.text()
        extension(data)
        reading = Reading(self._session.structures)
        statuses = []
        for span in spans[: data.count()]:
            status = data.one(_U32)
            span.point = data.blob() or None
            packed = extension(data)
            statuses.append(status)
            if status & _BAD:
                span.point = None
                if status not in _FULL:
                    span.refusal = f"got {ua.StatusCode(status).name}"
            elif isinstance(packed, Packed) and packed.type == _DATA and packed.body is not None:
                _values(reading, span, Bytes(packed.body))
        changes = changes_of(reading.changes)
        found.append(
            Notification(
                0, 0, data=True, changes=changes, problems=reading.problems, wide=reading.wide
            )
        )
        return statuses


def _values(reading: Reading, span: Span, data: Bytes) -> None:
    """Take the wanted ones of a span's values."""
    for _ in range(data.count()):
        start = data.at
        value = data_value(data)
        time_ns = value.server_ns if value.source_ns is None else value.source_ns
        if time_ns is not None and span.takes(time_ns):
            reading.change(span.handle, value, data.data[start : data.at])


def _moment(time_ns: int) -> datetime:
    """Time as asyncua encodes it, to the microsecond below."""
    moment = _EPOCH + timedelta(microseconds=time_ns // 1_000)
    return moment.replace(tzinfo=None)
