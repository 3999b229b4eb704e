"""Request bodies: read as a stream against two bounds, and refused before they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from api.errors import ApiError

MIB = 1 << 20
# Bodies that may be in memory at one time, as a multiple of the largest single one.
BODIES_HELD_MAX = 4


class BodyBudget:
    """Bytes of request bodies held in memory by all requests together.

    Parameters
    ----------
    body_bytes_max : int
        Largest single body; ``http.body_bytes_max`` of the configuration.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self.held_bytes_max = BODIES_HELD_MAX * body_bytes_max
        self.held_bytes = 0

    @contextmanager
    def hold(self) -> Iterator["Held"]:
        """Account for one request; whatever it took is given back at the end."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held_bytes -= held.size_bytes


class Held:
    """What one request holds of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Take more, or refuse.

        Raises
        ------
        ApiError
            ``body_too_large`` (413) beyond the single bound, ``overloaded`` (503) beyond the sum.
        """
        budget = self._budget
        if self.size_bytes + size_bytes > budget.body_bytes_max:
            raise too_large(budget.body_bytes_max, f"more than {budget.body_bytes_max}")
        if budget.held_bytes + size_bytes > budget.held_bytes_max:
            raise ApiError(
                503,
                "overloaded",
                "cannot take the body now: too many bodies are being read",
                want="fewer requests at one time",
                retry_after_s=1,
            )
        self.size_bytes += size_bytes
        budget.held_bytes += size_bytes


def too_large(body_bytes_max: int, got: str) -> ApiError:
    """Build the refusal of a body above the bound."""
    return ApiError(
        413,
        "body_too_large",
        "cannot take the body",
        got=f"{got} bytes",
        want=f"at most {body_bytes_max} bytes",
        where="body",
    )


async def read_body(request: Request, held: Held, body_bytes_max: int) -> bytes:
    """Read the whole body, never more of it than the bound.

    Parameters
    ----------
    request : Request
        Not read yet.
    held : Held
        This request's part of the budget.
    body_bytes_max : int
        Announced lengths above it are refused before a byte is read.

    Returns
    -------
    bytes

    Raises
    ------
    ApiError
        ``body_too_large`` (413), ``overloaded`` (503), ``encoded_body`` (415) for a compressed
        body, ``body_cut`` (400) when the caller went away.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ApiError(
            415,
            "encoded_body",
            "cannot take the body",
            got=encoding[:64],
            want="identity",
            where="header Content-Encoding",
        )
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > body_bytes_max:
        raise too_large(body_bytes_max, announced)
    parts: list[bytes] = []
    try:
        async for chunk in request.stream():
            held.add(len(chunk))
            parts.append(chunk)
    except ClientDisconnect:
        raise ApiError(400, "body_cut", "cannot take the body: the caller went away") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
