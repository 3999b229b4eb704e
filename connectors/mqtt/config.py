"""Settings of an MQTT source; ``sample.toml`` beside this file explains each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.mqtt.broker import BrokerConfig, Subscription, read_broker
from connectors.payload.config import ConventionConfig, MappingConfig, read_mappings
from connectors.payload.trees import TreeConfig, read_trees
from connectors.settings import Table


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """One broker, and what its messages mean."""

    broker: BrokerConfig
    retained: str
    mappings: tuple[MappingConfig | ConventionConfig, ...]
    trees: tuple[TreeConfig, ...]


def read_config(name: str, settings: Mapping[str, Any]) -> MqttConfig:
    """Read the settings table of an MQTT source.

    Raises
    ------
    ConfigError
        If a key is unknown or missing or a value is wrong.
    """
    table = Table(settings, f"sources.{name}.settings")
    config = MqttConfig(
        broker=read_broker(table, name, _subscriptions(table)),
        retained=table.text("retained", "timed", among=("timed", "all", "none")),
        mappings=read_mappings(table.tables("mappings")),
        trees=read_trees(table.tables("trees")),
    )
    table.done()
    return config


def _subscriptions(table: Table) -> tuple[Subscription, ...]:
    found = []
    for entry in table.tables("subscriptions"):
        found.append(Subscription(entry.text("topic"), entry.integer("qos", 1, 0, 1)))
        entry.done()
    if not found:
        raise table.refuse("subscriptions", [], "at least one")
    return tuple(found)
