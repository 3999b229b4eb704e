"""Settings of an MQTT source; ``sample.toml`` beside this file explains each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.payload.config import ConventionConfig, MappingConfig, read_mappings
from connectors.payload.trees import TreeConfig, read_trees
from connectors.settings import Table

PROTOCOLS = ("auto", "5", "3.1.1")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and the quality of service asked for."""

    topic: str
    qos: int


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """Everything about one broker."""

    host: str
    port: int
    client_id: str
    username: str | None
    password: str | None
    protocol: str
    keepalive_s: int
    connect_timeout_s: float
    session_expiry_s: int
    receive_maximum: int
    buffer_bytes_max: int
    message_bytes_max: int
    retained: str
    tls: bool
    tls_ca_file: str
    tls_certificate_file: str
    tls_key_file: str
    subscriptions: tuple[Subscription, ...]
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
        host=table.text("host"),
        port=table.integer("port", 1883, 1, 65_535),
        client_id=table.text("client_id", f"lighthouse-{name}"),
        username=table.secret("username"),
        password=table.secret("password"),
        protocol=table.text("protocol", "auto", among=PROTOCOLS),
        keepalive_s=table.integer("keepalive_s", 30, 1, 65_535),
        connect_timeout_s=table.number("connect_timeout_s", 10.0, 0.1, 600.0),
        session_expiry_s=table.integer("session_expiry_s", 7 * 86_400, 0, 0xFFFF_FFFF),
        receive_maximum=table.integer("receive_maximum", 2_000, 1, 65_535),
        buffer_bytes_max=table.integer("buffer_bytes_max", 16 << 20, 1 << 16, 1 << 30),
        message_bytes_max=table.integer("message_bytes_max", 4 << 20, 1 << 10, 256 << 20),
        retained=table.text("retained", "timed", among=("timed", "all", "none")),
        tls=table.flag("tls", default=False),
        tls_ca_file=table.text("tls_ca_file", ""),
        tls_certificate_file=table.text("tls_certificate_file", ""),
        tls_key_file=table.text("tls_key_file", ""),
        subscriptions=_subscriptions(table),
        mappings=read_mappings(table.tables("mappings")),
        trees=read_trees(table.tables("trees")),
    )
    table.done()
    if not config.client_id:
        raise table.refuse("client_id", "", "a name: the broker keeps the session under it")
    return config


def _subscriptions(table: Table) -> tuple[Subscription, ...]:
    found = []
    for entry in table.tables("subscriptions"):
        found.append(Subscription(entry.text("topic"), entry.integer("qos", 1, 0, 1)))
        entry.done()
    if not found:
        raise table.refuse("subscriptions", [], "at least one")
    return tuple(found)
