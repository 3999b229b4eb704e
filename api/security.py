"""Who is asking, and what a browser may do with our pages.

Every path but ``/health``, ``/ready`` and the pages' static files needs a bearer token; the catalog
holds only hashes of tokens. The page is given its token in the address's fragment, which no browser
sends.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError
from api.parameters import KnownParameters, WindowParameters
from historian.runtime import Historian

TOKEN_LENGTH_MAX = 512
Window = tuple[int, int]

# All code and styles come from our own files. The one hash is that of empty text: plotly.js makes
# an empty style element and fills it by script (CSSOM), which the policy does not concern.
# blob: and data: images are its exports.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    f"style-src 'self' {_EMPTY_STYLE}; "
    "img-src 'self' data: blob:; "
    "connect-src 'self'; "
    "font-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'; "
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """ASGI middleware that adds the security headers to every answer.

    Parameters
    ----------
    app : ASGIApp
        What it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token says; every write is entered under ``principal``."""

    principal: str
    scopes: frozenset[str] = frozenset({"read"})


def historian_of(request: Request) -> Historian:
    """Return the historian that the application was created with."""
    historian: Historian = request.app.state.historian
    return historian


def now_ns_of(request: Request) -> int:
    """Return the server's now, from the historian's clock."""
    return historian_of(request).clock.now_ns()


def window_of(request: Request, parameters: WindowParameters) -> Window:
    """Return the window that is asked for, in nanoseconds UTC."""
    return parameters.window_ns(now_ns_of(request), historian_of(request).query.calendars)


def known_lsn_of(request: Request, parameters: KnownParameters) -> int | None:
    """Return the lsn that an answer is to be as known at, None for all that is known."""
    return parameters.known_lsn(now_ns_of(request), historian_of(request).lsn_at)


def bearer_token(request: Request) -> str:
    """Take the token out of the header.

    Raises
    ------
    ApiError
        ``unauthorized`` (401) when there is none.
    """
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_LENGTH_MAX:
        raise ApiError(
            401,
            "unauthorized",
            "cannot answer: no bearer token",
            want="Authorization: Bearer <token>",
            where="header Authorization",
        )
    return token.strip()


def _needs(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    async def caller(request: Request) -> Caller:
        if request.app.state.local_reader and scope == "read":
            return Caller("local reader")
        principal = historian_of(request).tokens.verify(bearer_token(request))
        principal.require(scope)
        return Caller(principal.name, principal.scopes)

    return caller


# What a route asks for as a parameter: `caller: Writer`.
Reader = Annotated[Caller, Depends(_needs("read"))]
Writer = Annotated[Caller, Depends(_needs("write"))]
Administrator = Annotated[Caller, Depends(_needs("admin"))]
