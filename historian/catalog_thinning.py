"""How far off values of a tag may be that its collector left out, and since when; never deleted."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from historian.catalog_records import TagRecord

if TYPE_CHECKING:
    from historian.catalog import Catalog

NONE = "none"
KINDS = frozenset({NONE, "exception", "swinging_door"})


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule of thinning from a time on.

    Attributes
    ----------
    since_ns : int
        The collector's clock when it began.
    kind : str
        ``exception``: values hold until the next; ``swinging_door``: they lie on lines between
        those kept; ``none``: every value is sent.
    deviation : float
        How far off a value that was left out may be.
    max_s : float
        Seconds after which a value is kept in any case.
    """

    since_ns: int
    kind: str
    deviation: float = 0.0
    max_s: float = 0.0

    def facts(self) -> dict[str, Any]:
        """For the audit and for answers, without the time."""
        if self.kind == NONE:
            return {"kind": NONE}
        return {"kind": self.kind, "deviation": self.deviation, "max_s": self.max_s}


def bound_of(facts: object, time_ns: object) -> Bound | None:
    """Read what a collector says of an address; None for what is no bound."""
    if not isinstance(facts, dict) or type(time_ns) is not int or not 0 <= time_ns < 1 << 63:
        return None
    numbers = [facts.get("deviation", 0.0), facts.get("max_s", 0.0)]
    kind = facts.get("kind")
    if kind not in KINDS or not all(
        isinstance(n, int | float) and math.isfinite(n) and n >= 0 for n in numbers
    ):
        return None
    return Bound(time_ns, kind, *map(float, numbers))


def bounds(catalog: "Catalog", tag: TagRecord) -> list[Bound]:
    """Rules of a tag, oldest first; empty where every value was always sent."""
    rows = catalog.database.rows(
        "SELECT since_ns, kind, deviation, max_s FROM tag_thinning WHERE tag=? ORDER BY since_ns",
        (tag.id,),
    )
    return [Bound(*row) for row in rows]


def thinned_addresses(catalog: "Catalog", source: str) -> list[str]:
    """Addresses of a source of whose values some were ever left out."""
    rows = catalog.database.rows(
        "SELECT DISTINCT t.address FROM tags t JOIN tag_thinning b ON b.tag = t.id"
        " WHERE t.source=? AND t.address <> ''",
        (source,),
    )
    return [str(row[0]) for row in rows]


def enter_bound(catalog: "Catalog", tag: TagRecord, bound: Bound, principal: str) -> bool:
    """Keep a rule if it differs from the one before; call it inside a transaction.

    Returns
    -------
    bool
        Whether anything changed. A rule that is older than the newest changes nothing.
    """
    held = bounds(catalog, tag)
    before = held[-1] if held else Bound(0, NONE)
    if bound.facts() == before.facts() or (held and bound.since_ns <= before.since_ns):
        return False
    catalog.database.execute(
        "INSERT INTO tag_thinning(tag, since_ns, kind, deviation, max_s) VALUES(?,?,?,?,?)",
        (tag.id, bound.since_ns, bound.kind, bound.deviation, bound.max_s),
    )
    catalog.database.record(principal, "thin tag", tag.name, before.facts(), bound.facts())
    return True
