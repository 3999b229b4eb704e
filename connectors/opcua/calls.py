"""Calls of services: what their failures mean, and lists in pieces that a server takes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from asyncua.crypto import uacrypto
from asyncua.ua.uaerrors import (
    BadEncodingLimitsExceeded,
    BadRequestTooLarge,
    BadResponseTooLarge,
    BadTooManyOperations,
    UaError,
)
from cryptography.exceptions import InvalidSignature

from connectors.connector import SourceUnavailable

_crypto: Any = uacrypto  # its own class of that name is not exported for type checkers
WRONG_SIGNATURE = (InvalidSignature, _crypto.InvalidSignature)
LOST = (
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
    UaError,
    *WRONG_SIGNATURE,
)
_T = TypeVar("_T")
_R = TypeVar("_R")


def cannot(what: str, url: str, error: BaseException) -> str:
    """Message of a failed call."""
    return f"cannot {what}: got {type(error).__name__} ({error}), want an answer, at {url}"


def chunks(items: list[_T], size: int) -> Iterable[list[_T]]:
    """Cut a list into pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def call(
    url: str, awaitable: Any, mendable: tuple[type[UaError], ...] = (BadTooManyOperations,)
) -> Any:
    """Await a service; a refusal of the whole call means the source is not usable now.

    Raises
    ------
    SourceUnavailable
        For every failure but ``mendable``, which the caller can mend.
    """
    try:
        return await awaitable
    except mendable:
        raise
    except LOST as error:
        raise SourceUnavailable(cannot("call", url, error)) from error


class Pieces:
    """Calls of a service with as many operations as the server takes; learns how many.

    Parameters
    ----------
    url : str
    most : int
        Operations in one call at first.
    """

    MENDABLE = (
        BadTooManyOperations,
        BadRequestTooLarge,
        BadResponseTooLarge,
        BadEncodingLimitsExceeded,
    )

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self.size = most

    def limit(self, most: object) -> None:
        """Take a limit that the server says; 0 and nonsense mean that it has none."""
        if isinstance(most, int) and 0 < most < self.size:
            self.size = most

    async def run(
        self, items: Sequence[_T], serve: Callable[[Sequence[_T]], Awaitable[Sequence[_R]]]
    ) -> list[_R]:
        """Results of all items, in their order.

        Raises
        ------
        SourceUnavailable
            If the server refuses, be it a single item, or answers for fewer than asked.
        """
        found: list[_R] = []
        while len(found) < len(items):
            chunk = items[len(found) : len(found) + self.size]
            try:
                results = await call(self._url, serve(chunk), self.MENDABLE)
            except self.MENDABLE as error:
                if len(chunk) == 1:
                    raise SourceUnavailable(cannot("call", self._url, error)) from error
                self.size = len(chunk) // 2
                continue
            if len(results) != len(chunk):
                got = f"{len(results)} results, want {len(chunk)}"
                raise SourceUnavailable(f"cannot call: got {got}, at {self._url}")
            found += results
        return found
