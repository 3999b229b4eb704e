"""What sources say of their addresses, entered where the catalog has no text of its own.

A source that knows where an address stands in the plant puts its tag on the tree of assets.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from historian.catalog import Catalog
from historian.catalog_plant import put_asset_path
from historian.catalog_records import TEXT_CHARACTERS_MAX
from historian.catalog_sources import SourceFacts, enter_facts, facts_of
from historian.catalog_thinning import NONE, Bound, bound_of, enter_bound, thinned_addresses

_FIELDS = ("description", "eng_unit", "asset")
_PLACED = ("asset", "asset_levels")
_BOUND, _SOURCE = "thinning", "source"
_Key = tuple[str, str]


class Descriptions:
    """Keeps descriptions until their tags exist, and enters them; never over a person's words.

    Parameters
    ----------
    catalog : Catalog
        Open for writing.
    waiting_max : int
        Descriptions kept for addresses without a tag; the oldest are forgotten first.
    """

    def __init__(self, catalog: Catalog, waiting_max: int) -> None:
        self._catalog = catalog
        self._waiting_max = waiting_max
        self._waiting: OrderedDict[_Key, dict[str, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def learn(self, notices: Sequence[Mapping[str, object]]) -> list[_Key]:
        """Take the facts of metadata notices; returns the addresses to be entered.

        Parameters
        ----------
        notices : sequence of Mapping
            ``{"source": ..., "items": [{"address", "name", "description", "eng_unit", "low",
            "high", "facts", "thinning"}, ...]}``. Of the facts ``asset`` is the path of the asset
            that the address belongs to, ``asset_levels`` the levels of that path.
        """
        keys: list[_Key] = []
        for facts in notices:
            items = facts.get("items")
            if facts.get("thinned") is False:  # nor from now on: its rules are gone
                addresses = thinned_addresses(self._catalog, str(facts.get("source", "")))
                items = [{"address": one, "thinning": {"kind": NONE}} for one in addresses]
            for item in items if isinstance(items, list) else ():
                if not isinstance(item, Mapping):
                    continue
                key = (str(facts.get("source", "")), str(item.get("address", "")))
                texts = {
                    "description": item.get("description") or item.get("name"),
                    "eng_unit": item.get("eng_unit"),
                }
                told = item.get("facts")
                if isinstance(told, Mapping):
                    texts |= {name: told.get(name) for name in _PLACED}
                waiting = self._waiting.setdefault(key, {})
                for name, text in texts.items():
                    if isinstance(text, str) and text:
                        waiting[name] = text[:TEXT_CHARACTERS_MAX]
                bound = bound_of(item.get("thinning"), facts.get("time_ns"))
                if bound is not None:
                    waiting[_BOUND] = bound
                source = facts_of(item, _PLACED)
                if source is not None:
                    waiting[_SOURCE] = source
                self._waiting.move_to_end(key)
                keys.append(key)
        while len(self._waiting) > self._waiting_max:
            self._waiting.popitem(last=False)
        return keys

    def waits(self, keys: Iterable[_Key]) -> list[_Key]:
        """Return those of the (source, address) pairs that a description is kept for."""
        return [key for key in keys if key in self._waiting]

    def enter(self, keys: Sequence[_Key], principal: str) -> int:
        """Fill empty texts of the tags of these addresses; syncs a file, so run it in a thread.

        Returns
        -------
        int
            Tags changed.
        """
        changed = 0
        made: dict[tuple[str, str], str] = {}  # many tags stand in one place
        with self._catalog.database.transaction():
            for key in keys:
                tag = self._catalog.find_address(*key)
                if tag is None:
                    continue
                texts = self._waiting.pop(key, {})
                fresh = {n: t for n, t in texts.items() if n in _FIELDS and not getattr(tag, n)}
                bound = texts.get(_BOUND)
                if isinstance(bound, Bound) and enter_bound(self._catalog, tag, bound, principal):
                    changed += 1
                source = texts.get(_SOURCE)
                if isinstance(source, SourceFacts):
                    changed += enter_facts(self._catalog, tag, source, principal)
                if "asset" in fresh:
                    place = fresh["asset"], texts.get("asset_levels", "")
                    if place not in made:
                        made[place] = put_asset_path(self._catalog, *place, principal)
                    fresh["asset"] = made[place]
                if any(fresh.values()):
                    self._catalog.edit_tag(tag.name, fresh, principal)
                    changed += 1
        return changed
