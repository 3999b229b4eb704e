"""The header by which a caller may send a write again without writing it twice."""

from fastapi import Request

from api.errors import ApiError

HEADER = "idempotency-key"
LENGTH_MAX = 128


def idempotency_key(request: Request) -> str | None:
    """Return the caller's key, None when it sent none.

    Raises
    ------
    ApiError
        ``invalid_idempotency_key`` (400) for one that is empty, too long or not printable ASCII.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= LENGTH_MAX and key.isascii() and key.isprintable()):
        raise ApiError(
            400,
            "invalid_idempotency_key",
            "cannot take the key",
            got=f"{len(key)} characters",
            want=f"1 to {LENGTH_MAX} printable ASCII characters",
            where="header Idempotency-Key",
        )
    return key
