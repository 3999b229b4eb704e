"""Publish requests in flight: more than one, so that a round trip is not a pause."""

import asyncio
from collections import deque

from connectors.connector import Clock
from connectors.opcua.notification import Notification
from connectors.opcua.session import Session


class Pump:
    """Keeps Publish requests in flight and hands messages over in order of arrival.

    Requests are sent again at once, unless too many rows wait; then the server holds back.

    Parameters
    ----------
    session : Session
    requests, most : int
        Requests in flight at first, and when the server always has more to say.
    interval_s : float
        Publishing interval: an answer that comes much sooner was waiting for its request.
    durable : deque of (subscription, sequence), optional
        Acknowledgements that did not get through; those of this pump are left in it.
    rows_max : int
        Rows received and not taken, above which no request is sent.
    clock : Clock

    Attributes
    ----------
    heard : dict of int to float
        Monotonic time of the last answer for each subscription.
    """

    def __init__(
        self,
        session: Session,
        requests: int,
        rows_max: int,
        clock: Clock,
        *,
        most: int = 0,
        interval_s: float = 0.0,
        durable: deque[tuple[int, int]] | None = None,
    ) -> None:
        self._session = session
        self._clock = clock
        self._rows_max = rows_max
        self._waiting: list[Notification] = []
        self._rows = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._durable: deque[tuple[int, int]] = deque() if durable is None else durable
        self._most, self._interval_s = most, interval_s
        self._quickest_s = float("inf")
        self._tasks = [asyncio.create_task(self._work()) for _ in range(requests)]
        self._failure: BaseException | None = None
        self.heard: dict[int, float] = {}

    async def take(self) -> list[Notification]:
        """All messages received since the last call, at least one.

        Raises
        ------
        SourceUnavailable
            When no more can come.
        """
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()
        found, self._waiting, self._rows = self._waiting, [], 0
        self._room.set()
        return found

    @property
    def held_back(self) -> bool:
        """Whether no request is sent because too many rows wait."""
        return not self._room.is_set()

    def durable(self, subscription: int, sequence: int) -> None:
        """Acknowledge a message with the next request."""
        self._durable.append((subscription, sequence))

    def fail(self, error: BaseException) -> None:
        """End ``take`` with an error, after what has been received."""
        if self._failure is None:
            self._failure = error
        self._wake.set()

    async def stop(self) -> None:
        """End all requests."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while True:
                await self._room.wait()
                acknowledge = list(self._durable)
                self._durable.clear()
                asked_s = self._clock.monotonic_s()
                try:
                    message = await self._session.publish(acknowledge)
                except BaseException:  # nobody knows whether the server has read it
                    self._durable.extend(acknowledge)
                    raise
                if message is None:
                    self._most = 0
                    if sum(not task.done() for task in self._tasks) > 1:
                        return  # the server takes fewer requests at a time
                    continue
                self.heard[message.subscription] = now_s = self._clock.monotonic_s()
                if message.data:
                    self._more(now_s - asked_s)
                self._waiting.append(message)
                self._rows += message.rows + len(message.problems)
                if self._rows > self._rows_max:
                    self._room.clear()
                self._wake.set()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again by take()
            self.fail(error)

    def _more(self, waited_s: float) -> None:
        """Ask once more at a time where answers wait for requests, not requests for answers."""
        self._quickest_s = min(self._quickest_s, waited_s)
        soon_s = max(self._interval_s / 2, 1.5 * self._quickest_s)
        if waited_s < soon_s and len(self._tasks) < self._most:
            self._tasks.append(asyncio.create_task(self._work()))
