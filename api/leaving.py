"""Clients that leave: what was asked for them is not worked out to the end."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query.work import Work, at_work


class Leaving:
    """ASGI middleware that gives each request its work, and ends it when the client leaves.

    Parameters
    ----------
    app : ASGIApp
        What it wraps.
    new_work : callable
        Makes the work of a request.
    """

    def __init__(self, app: ASGIApp, new_work: Callable[[], Work]) -> None:
        self.app = app
        self._new_work = new_work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        work = self._new_work()
        line = _Line(receive, work)
        if scope["method"] in {"GET", "HEAD"}:
            await line.read_ahead()
        try:
            with at_work(work):
                await self.app(scope, line.receive, send)
        finally:
            line.close()


class _Line:
    """What comes from one client: its body, and then that it left."""

    def __init__(self, receive: Receive, work: Work) -> None:
        self._receive = receive
        self._work = work
        self._ahead: Message | None = None
        self._watch: asyncio.Task[Message] | None = None

    async def read_ahead(self) -> None:
        """Take the body of a request that has none, to watch from the beginning."""
        self._ahead = await self._next()

    async def receive(self) -> Message:
        """As the server's ``receive``."""
        if self._ahead is not None:
            message, self._ahead = self._ahead, None
            return message
        if self._watch is not None:
            return await asyncio.shield(self._watch)
        return await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._watch = asyncio.create_task(self._until_left())
        elif message["type"] == "http.disconnect":
            self._work.leave()
        return message

    async def _until_left(self) -> Message:
        message = await self._receive()
        self._work.leave()
        return message

    def close(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.cancel()
