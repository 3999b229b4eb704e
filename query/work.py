"""What one question may take: until when it may work, and whether anybody waits for the answer.

Whoever opens a door sets the work of the question before asking; reads look at it before each
piece. Without one, questions work as long as they need.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from query.errors import Abandoned, LimitExceeded


class Work:
    """The work of one question, or of the questions of one request.

    Parameters
    ----------
    monotonic_s : callable
        Seconds that never go back.
    seconds_max : float
        How long it may work on one piece of an answer.

    Notes
    -----
    :meth:`leave` may be called by another thread than the one that works.
    """

    def __init__(self, monotonic_s: Callable[[], float], seconds_max: float) -> None:
        self._monotonic_s = monotonic_s
        self._seconds_max = seconds_max
        self._left = False
        self.renew()

    def renew(self) -> None:
        """Count the time anew: a piece of the answer has been handed over."""
        self._until_s = self._monotonic_s() + self._seconds_max

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._left = True

    def check(self) -> None:
        """Go on, or not.

        Raises
        ------
        Abandoned
            Nobody waits.
        LimitExceeded
            The time is over.
        """
        if self._left:
            raise Abandoned(
                "go on", got="nobody who waits", want="somebody who does", where="question"
            )
        if self._monotonic_s() > self._until_s:
            raise LimitExceeded(
                "answer in time",
                got=f"more than {self._seconds_max:g} s of work",
                want="a shorter window, fewer tags or larger intervals",
                where="query.seconds_max",
            )


_CURRENT: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def at_work(work: Work) -> Iterator[Work]:
    """Let the questions asked inside, in this context, be this work."""
    token = _CURRENT.set(work)
    try:
        yield work
    finally:
        _CURRENT.reset(token)


def current_work() -> Work | None:
    """Work of this context, None outside of any; a context is copied into threads by hand."""
    return _CURRENT.get()


def check_work() -> None:
    """Look at the work of this context; raises as :meth:`Work.check`."""
    work = _CURRENT.get()
    if work is not None:
        work.check()
