"""Unified-namespace trees: a rule per prefix says which topic level is which level of ISA-95."""

from dataclasses import dataclass

from connectors.payload.found import Samples
from connectors.payload.path import topic_matches
from connectors.settings import Table
from connectors.sink import SourceItem

LEVELS = ("enterprise", "site", "area", "line", "cell", "")
_STATION = {"cell": "station"}  # what the tree of assets calls it
_TOLD_MAX = 200_000


@dataclass(frozen=True, slots=True)
class TreeConfig:
    """Levels of the topics that a filter takes, by position; an empty one is no asset."""

    topic: str
    levels: tuple[str, ...]


def read_trees(tables: tuple[Table, ...]) -> tuple[TreeConfig, ...]:
    """Read ``[[trees]]``.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is wrong.
    """
    found = []
    for table in tables:
        topic, levels = table.text("topic"), table.texts("levels")
        if not any(levels) or any(level not in LEVELS for level in levels):
            want = f"some of {', '.join(LEVELS[:-1])}, or an empty text for other levels"
            raise table.refuse("levels", list(levels), want)
        table.done()
        found.append(TreeConfig(topic, levels))
    return tuple(found)


class Trees:
    """Says once of each address where it stands.

    Parameters
    ----------
    configs : tuple of TreeConfig
        The first that takes a topic is used.
    """

    def __init__(self, configs: tuple[TreeConfig, ...]) -> None:
        self._configs = configs
        self._told: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._configs)

    def place(self, topic: str, samples: list[Samples]) -> list[SourceItem]:
        """Give the addresses of a message that nobody was told of yet."""
        new = [
            address
            for _, addresses, *_ in samples
            for address in addresses
            if (topic, address) not in self._told
        ]
        if not new:
            return []
        if len(self._told) + len(new) > _TOLD_MAX:
            self._told.clear()  # telling twice is harmless
        self._told.update((topic, address) for address in new)
        tree = next((one for one in self._configs if topic_matches(one.topic, topic)), None)
        if tree is None:
            return []
        pairs = [
            (name, _STATION.get(level, level))
            for name, level in zip(topic.split("/"), tree.levels, strict=False)
            if name and level
        ]
        if not pairs:
            return []
        facts = {
            "asset": "/".join(name for name, _ in pairs),
            "asset_levels": "/".join(level for _, level in pairs),
        }
        return [SourceItem(address, facts=facts) for address in dict.fromkeys(new)]
