"""Calls of services: what their failures mean, and lists in pieces that a server takes."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from asyncua.crypto import uacrypto
from asyncua.ua.uaerrors import BadTooManyOperations, UaError
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


def cannot(what: str, url: str, error: BaseException) -> str:
    """Message of a failed call."""
    return f"cannot {what}: got {type(error).__name__} ({error}), want an answer, at {url}"


def chunks(items: list[_T], size: int) -> Iterable[list[_T]]:
    """Cut a list into pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def call(url: str, awaitable: Any) -> Any:
    """Await a service; a refusal of the whole call means the source is not usable now.

    Raises
    ------
    SourceUnavailable
        For every failure but BadTooManyOperations, which the caller can mend.
    """
    try:
        return await awaitable
    except BadTooManyOperations:
        raise
    except LOST as error:
        raise SourceUnavailable(cannot("call", url, error)) from error
