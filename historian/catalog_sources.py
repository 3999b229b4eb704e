"""What a source says of a tag beside its texts: range, data type, states. Its last word counts."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from historian.catalog_records import TEXT_CHARACTERS_MAX, TagRecord

if TYPE_CHECKING:
    from historian.catalog import Catalog

_FACTS_MAX = 64


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """As the source describes an address.

    Attributes
    ----------
    low, high : float or None
        Range within which values are to be expected (OPC UA: EURange), in the tag's unit.
    facts : mapping of str to str
        More, by name: ``data_type``, ``states`` (texts of an enumeration's numbers as JSON), ...
    """

    low: float | None
    high: float | None
    facts: Mapping[str, str]

    def told(self) -> dict[str, Any]:
        """For the audit and for answers."""
        return {"low": self.low, "high": self.high, "facts": dict(self.facts)}


NOTHING = SourceFacts(None, None, {})


def facts_of(item: Mapping[str, object], leave: tuple[str, ...]) -> SourceFacts | None:
    """Read what a collector says of an address; None where it says nothing beside texts.

    Parameters
    ----------
    item : mapping
        ``low``, ``high``, ``facts``; anything else in them than numbers and texts is left out.
    leave : tuple of str
        Facts that have a place of their own in the catalog.
    """
    told = item.get("facts")
    facts = {
        name: text[:TEXT_CHARACTERS_MAX]
        for name, text in (told.items() if isinstance(told, Mapping) else ())
        if isinstance(name, str) and isinstance(text, str) and text and name not in leave
    }
    low, high = (_number(item.get(name)) for name in ("low", "high"))
    found = SourceFacts(low, high, dict(sorted(facts.items())[:_FACTS_MAX]))
    return None if found == NOTHING else found


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and math.isfinite(value) else None  # type: ignore[arg-type]


def source_facts(catalog: "Catalog", tag: TagRecord) -> SourceFacts:
    """What is kept of a tag."""
    rows = catalog.database.rows("SELECT low, high, facts FROM tag_source WHERE tag=?", (tag.id,))
    return SourceFacts(rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else NOTHING


def enter_facts(catalog: "Catalog", tag: TagRecord, found: SourceFacts, principal: str) -> bool:
    """Keep it in place of what was kept, if it differs; call it inside a transaction."""
    before = source_facts(catalog, tag)
    if found == before:
        return False
    catalog.database.execute(
        "INSERT OR REPLACE INTO tag_source(tag, low, high, facts) VALUES(?,?,?,?)",
        (tag.id, found.low, found.high, json.dumps(dict(found.facts), ensure_ascii=False)),
    )
    catalog.database.record(principal, "describe tag", tag.name, before.told(), found.told())
    return True
