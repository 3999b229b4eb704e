"""What query refuses, and how it says so.

::

    QueryError
    |-- UnknownTag      no tag of this name
    |-- BadRequest      the question is wrong (also a ValueError): ask differently
    |-- LimitExceeded   the answer would pass a bound of the configuration: ask for less
    `-- Abandoned       nobody waits for the answer any more

Messages follow one grammar: *cannot do X: got A, want B, at P*. The facts are fields as well.
"""


class QueryError(Exception):
    """Root of everything the query room raises on purpose.

    Parameters
    ----------
    what : str
        What could not be done, for example ``aggregate`` or ``read raw``.
    got : object
        What the request said.
    want : str
        What would be accepted.
    where : str
        The field of the request, or the tag.
    """

    def __init__(self, what: str, *, got: object, want: str, where: str) -> None:
        super().__init__(f"cannot {what}: got {got}, want {want}, at {where}")
        self.what = what
        self.got = got
        self.want = want
        self.where = where


class UnknownTag(QueryError):  # noqa: N818 - the field's words
    """There is no tag of this name.

    Parameters
    ----------
    name : str
        The name asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__("find tag", got=repr(name), want="the name of a known tag", where="tag")
        self.name = name


class BadRequest(QueryError, ValueError):  # noqa: N818
    """The question is wrong; asking it again gives the same answer."""


class LimitExceeded(QueryError):  # noqa: N818
    """The answer, or the work behind it, would pass a bound of the configuration."""


class Abandoned(QueryError):  # noqa: N818
    """Nobody waits for the answer any more."""
