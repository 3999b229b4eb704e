"""What a server says that it takes.

Limits are often absent, 0 ("no limit known") or wrong, so a call that is refused as too large is
halved and sent again all the same (``calls.Pieces``).

References
----------
OPC 10000-5, 6.3.2 (ServerCapabilities), 6.3.11 (OperationLimits).
"""

from collections.abc import Sequence
from dataclasses import dataclass

START_TIME = "i=2257"
NODES = ("i=11705", "i=11710", "i=12165", "i=11714", "i=24104", "i=24098")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """In the order of ``NODES``; 0 where the server says nothing."""

    nodes_per_read: int = 0
    nodes_per_browse: int = 0
    nodes_per_history_read: int = 0
    items_per_call: int = 0
    items_per_subscription: int = 0
    subscriptions_per_session: int = 0


def limits_of(values: Sequence[object]) -> ServerLimits:
    """Limits from the values of ``NODES``; nonsense counts as nothing."""
    numbers = (value if isinstance(value, int) and value > 0 else 0 for value in values)
    return ServerLimits(*numbers)
