"""From the sinks of all sources into the spool: frame by frame, one fsync for all that waits."""

import asyncio
import heapq
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from connectors.connector import Clock, SinkFull
from connectors.sink import Receipt
from historian.collector.frames import FrameBuilder, Part, sliced
from historian.collector.spool import Spool, SpoolFull
from historian.collector.spool_files import Position
from storage_engine.errors import InvalidArgument, LimitExceeded

_PENDING_BYTES_MAX = 32 << 20
_SOURCE_BYTES_MAX = 8 << 20  # of one source; its connector waits with the rest
_FRAME_BYTES_MAX = 4 << 20
_BACKLOG_FRAMES = 10  # what came while the disk synced goes into one frame, up to so many

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    part: Part
    size: int
    done: "asyncio.Future[Receipt]"

    @property
    def rows(self) -> int:
        return max(self.part.row_count, self.part.stands_for)


@dataclass(slots=True)
class _Queue:
    parts: deque[_Waiting] = field(default_factory=deque)
    size: int = 0


class Intake:
    """Collects parts into frames and spools them.

    Parameters
    ----------
    spool : Spool
    clock : Clock
    rows_max : int
        Rows at which a frame is cut.
    linger_s : float
        Time after which a frame with fewer rows is cut.
    """

    def __init__(self, spool: Spool, clock: Clock, rows_max: int, linger_s: float) -> None:
        self._spool = spool
        self._clock = clock
        self._rows_max = rows_max
        self._linger_s = linger_s
        self.builder = FrameBuilder(spool.identity)
        self._queues: OrderedDict[str, _Queue] = OrderedDict()  # who waits; whose turn it is first
        self._rows = 0
        self._bytes = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Condition()
        self._closing = False
        self._renew = False
        self._stored: Position = spool.sent
        self._stored_waiters: list[tuple[Position, int, asyncio.Future[None]]] = []
        self._tickets = 0
        self.refused_parts = 0
        self.spooled = asyncio.Event()  # set when the sender has something to look at

    async def put(self, part: Part) -> Receipt:
        """Return when a part is in the spool.

        Raises
        ------
        SinkFull
            If the spool refuses it.
        """
        if part.batch is None or len(part.batch) <= self._rows_max:
            return await (await self._enqueue(part))
        receipt = Receipt(0, 0)
        for piece in sliced(part.batch, self._rows_max):
            # One after the other: behind a refused piece none may be kept, or order would turn.
            receipt = await (await self._enqueue(Part(part.source, piece)))
        return receipt

    def tell(self, part: Part) -> None:
        """Add notices without waiting; a full spool drops them with a line in the log."""
        future = self._add(part)
        future.add_done_callback(_log_lost_notice)

    @property
    def waiting_rows(self) -> int:
        """Rows that are not in the spool yet."""
        return self._rows

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not in the spool yet, about."""
        return self._bytes

    async def stored(self, receipt: Receipt) -> None:
        """Return when the server has the frame of a receipt."""
        position = (receipt.epoch, receipt.sequence)
        if position <= self._stored:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._stored_waiters, (position, self._tickets, future))
        await future

    def stored_up_to(self, position: Position) -> None:
        """Tell who waits that the server has everything up to a frame."""
        self._stored = max(self._stored, position)
        while self._stored_waiters and self._stored_waiters[0][0] <= self._stored:
            future = heapq.heappop(self._stored_waiters)[2]
            if not future.done():
                future.set_result(None)

    def new_epoch(self) -> None:
        """Declare all slots again, for the store is another one; from the next frame on."""
        self._renew = True

    async def run(self) -> None:
        """Cut and spool frames until ``close``; raises when the disk failed."""
        while True:
            await self._wake.wait()
            if not self._queues:
                if self._closing:
                    return
                self._wake.clear()
                continue
            if not self._closing and not self._full.is_set():
                await self._linger()
            taken = self._cut()
            try:
                await self._commit(taken)
            except BaseException as error:
                for waiting in taken:
                    if not waiting.done.done():
                        waiting.done.set_exception(
                            SinkFull(f"cannot spool: got {type(error).__name__} ({error})")
                        )
                raise
            async with self._room:
                self._room.notify_all()

    def close(self) -> None:
        """Spool what waits, then end ``run``."""
        self._closing = True
        self._wake.set()
        self._full.set()

    async def _enqueue(self, part: Part) -> "asyncio.Future[Receipt]":
        async with self._room:
            await self._room.wait_for(lambda: self._has_room(part.source))
            return self._add(part)

    def _has_room(self, source: str) -> bool:
        """Whoever has nothing waiting always has: a flood next door keeps nobody out."""
        queue = self._queues.get(source)
        return queue is None or (
            queue.size < _SOURCE_BYTES_MAX and self._bytes < _PENDING_BYTES_MAX
        )

    def _add(self, part: Part) -> "asyncio.Future[Receipt]":
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        size = part.size_bytes()
        queue = self._queues.setdefault(part.source, _Queue())
        queue.parts.append(_Waiting(part, size, future))
        queue.size += size
        self._rows += max(part.row_count, part.stands_for)
        self._bytes += size
        if self._rows >= self._rows_max or self._bytes >= _FRAME_BYTES_MAX:
            self._full.set()
        self._wake.set()
        return future

    async def _linger(self) -> None:
        """Wait for a full frame, for as long as the oldest part may wait."""
        sleep = asyncio.ensure_future(self._clock.sleep(self._linger_s))
        full = asyncio.ensure_future(self._full.wait())
        try:
            await asyncio.wait({sleep, full}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            full.cancel()

    def _cut(self) -> list[_Waiting]:
        """Parts of the next frame: each source in its own order, in turns of as many rows."""
        taken: list[_Waiting] = []
        rows = size = 0
        full = False
        while self._queues and not full:
            source, queue = next(iter(self._queues.items()))
            turn = 0
            while queue.parts and turn < self._rows_max:
                first = queue.parts[0]
                full = bool(taken) and (
                    rows + first.rows > _BACKLOG_FRAMES * self._rows_max
                    or size + first.size > _FRAME_BYTES_MAX
                )
                if full:
                    break
                taken.append(queue.parts.popleft())
                rows += first.rows
                turn += max(1, first.rows)
                size += first.size
                queue.size -= first.size
            if not queue.parts:
                del self._queues[source]
            elif not full or turn:
                self._queues.move_to_end(source)
        self._rows -= rows
        self._bytes -= size
        if self._rows < self._rows_max and self._bytes < _FRAME_BYTES_MAX and not self._closing:
            self._full.clear()
        return taken

    async def _commit(self, taken: list[_Waiting]) -> None:
        if self._renew:
            self._renew = False
            self.builder.renew(await asyncio.to_thread(self._spool.renew))
            self.builder.begin_chain()
        builder = self.builder
        try:
            frame = builder.build([waiting.part for waiting in taken])
        except (InvalidArgument, LimitExceeded) as error:
            if len(taken) == 1:
                if isinstance(error, LimitExceeded) and taken[0].part.row_count > 1:
                    await self._commit_halves(taken[0])
                else:
                    _resolve(taken, error)
                return
            # One bad batch must not cost the others: each gets a frame of its own.
            for waiting in taken:
                await self._commit([waiting])
            return
        try:
            await asyncio.to_thread(
                self._spool.append, builder.sequence, frame, tuple(builder.undeclared)
            )
        except SpoolFull as error:
            self.refused_parts += len(taken)
            _resolve(taken, SinkFull(str(error)))
            return
        receipt = Receipt(builder.epoch, builder.sequence)
        builder.committed(frame)
        _resolve(taken, receipt)
        self.spooled.set()

    async def _commit_halves(self, whole: _Waiting) -> None:
        """Commit a part whose declarations are too many for one frame; in order, or not at all."""
        receipt = Receipt(0, 0)
        try:
            for piece in _halves(whole):
                await self._commit([piece])
                receipt = piece.done.result()
        except (InvalidArgument, LimitExceeded, SinkFull) as error:
            # Behind a refused piece none may be kept, or order would turn.
            _resolve([whole], error)
        else:
            _resolve([whole], receipt)


def _halves(whole: _Waiting) -> list[_Waiting]:
    """Parts of half the rows; notices go with the last."""
    part = whole.part
    assert part.batch is not None, "a part with rows"
    pieces = sliced(part.batch, (len(part.batch) + 1) // 2)
    futures = [asyncio.get_running_loop().create_future() for _ in pieces]
    notices = [()] * (len(pieces) - 1) + [part.notices]
    return [
        _Waiting(Part(part.source, piece, more), 0, future)
        for piece, more, future in zip(pieces, notices, futures, strict=True)
    ]


def _resolve(taken: list[_Waiting], answer: Receipt | Exception) -> None:
    for waiting in taken:
        if waiting.done.done():
            continue  # who waited is gone; the part is kept all the same
        if isinstance(answer, Exception):
            waiting.done.set_exception(answer)
        else:
            waiting.done.set_result(answer)


def _log_lost_notice(future: "asyncio.Future[Receipt]") -> None:
    if not future.cancelled() and future.exception() is not None:
        _log.warning("a notice was not spooled: %s", future.exception())
