"""Settings of a Sparkplug source; ``sample.toml`` beside this file explains each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.mqtt.broker import BrokerConfig, Subscription, read_broker
from connectors.settings import Table
from connectors.sparkplug.message import Rules
from connectors.sparkplug.topics import NAMESPACE, state_topic


@dataclass(frozen=True, slots=True)
class SparkplugConfig:
    """One broker, and how we are a host of its nodes."""

    broker: BrokerConfig
    host_id: str
    rules: Rules
    rebirth_interval_s: float
    rebirth_spread_s: float


def read_config(name: str, settings: Mapping[str, Any]) -> SparkplugConfig:
    """Read the settings table of a Sparkplug source.

    Raises
    ------
    ConfigError
        If a key is unknown or missing or a value is wrong.
    """
    table = Table(settings, f"sources.{name}.settings")
    host_id = table.text("host_id")
    if not host_id or set(host_id) & set("/+#"):
        raise table.refuse("host_id", host_id, "a name without / + #, unique among all hosts")
    groups = table.texts("groups")
    for group in groups:
        if not group or set(group) & set("/+#"):
            raise table.refuse("groups", group, "group ids, without / + #")
    # QoS 1: data come with 0 anyway, deaths with 1. A shared subscription would lose the order.
    filters = [f"{NAMESPACE}/{group}/#" for group in groups] or [f"{NAMESPACE}/#"]
    topics = tuple(Subscription(one, 1) for one in (state_topic(host_id), *filters))
    config = SparkplugConfig(
        broker=read_broker(table, name, topics, clean=True),
        host_id=host_id,
        rules=Rules(
            reorder_s=table.number("reorder_timeout_s", 5.0, 0.0, 600.0),
            birth_hold_s=table.number("birth_hold_s", 5.0, 0.0, 600.0),
            rebirth=table.flag("rebirth", default=True),
            arrays=table.text("arrays", "text", among=("text", "elements")),
        ),
        rebirth_interval_s=table.number("rebirth_interval_s", 30.0, 1.0, 86_400.0),
        rebirth_spread_s=table.number("rebirth_spread_s", 30.0, 0.0, 3_600.0),
    )
    table.done()
    return config
