"""The failures of the plant's floor.

::

    HistorianError
    |-- ConfigInvalid      the configuration is wrong: correct the named key
    |-- RequestInvalid     the request is wrong as a whole: nothing was stored (also a ValueError)
    |-- Conflict           the name or key already means something else
    |-- NotFound           no such tag, asset, state set or token
    |-- Unauthorized       no token, or one that nobody issued
    |-- Forbidden          a valid token without the scope that the call needs
    `-- NotReady           nothing was stored now; the same request may succeed later
        `-- Overloaded     a bound on waiting work was reached

Rows that cannot be stored are not failures: they are named in the receipt and quarantined.
Messages follow one grammar: *cannot do X: got A, want B, at P*. Facts are fields as well.
"""

from typing import Any


class HistorianError(Exception):
    """Root of what this floor raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: cannot do X: got A, want B, at P.
    **facts : object
        The same facts as fields (got, want, where ...).
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts


class ConfigInvalid(HistorianError, ValueError):  # noqa: N818 - the house's words
    """A configuration that does not hold; ``facts["where"]`` is the path of the key."""


class RequestInvalid(HistorianError, ValueError):  # noqa: N818
    """The request is wrong as a whole; nothing was stored."""


class Conflict(HistorianError):  # noqa: N818
    """The name or the key already means something else."""


class NotFound(HistorianError, LookupError):  # noqa: N818
    """Nothing has this name."""


class Unauthorized(HistorianError):  # noqa: N818
    """No token, or one that nobody issued."""


class Forbidden(HistorianError):  # noqa: N818
    """The token is known, but lacks the scope that the call needs."""


class NotReady(HistorianError):  # noqa: N818
    """Nothing was stored; the same request may succeed later.

    ``retry_after_s`` says when it is worth trying again.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0, **facts: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **facts)
        self.retry_after_s = retry_after_s


class Overloaded(NotReady):
    """A bound on waiting work was reached."""
