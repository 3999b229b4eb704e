"""Addresses that a topic's last message gave: the next one mostly has the same keys."""

from collections.abc import Callable

from connectors.payload.config import MappingConfig


class LastAddresses:
    """Addresses by topic, bounded.

    Parameters
    ----------
    addresses_max : int
        Remembered of all topics together.
    """

    def __init__(self, addresses_max: int = 200_000) -> None:
        self._addresses_max = addresses_max
        self._held: dict[str, tuple[MappingConfig, tuple[str, ...], tuple[str, ...]]] = {}
        self._count = 0

    def of(
        self, mapping: MappingConfig, topic: str, keys: tuple[str, ...], fill: Callable[[str], str]
    ) -> tuple[str, ...]:
        """Address of each key; ``fill`` makes those that are not remembered."""
        known = self._held.get(topic)
        if known is not None and known[0] is mapping and known[1] == keys:
            return known[2]
        addresses = tuple(map(fill, keys))
        self._count += len(keys) - (0 if known is None else len(known[1]))
        if self._count > self._addresses_max:
            self._held, self._count = {}, len(keys)
        self._held[topic] = mapping, keys, addresses
        return addresses
