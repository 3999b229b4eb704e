"""Settings of an OPC UA source; ``sample.toml`` beside this file explains each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.opcua.event_rules import EventRule, read_events
from connectors.opcua.rules import BrowseRule, Shape, read_rule, read_shape
from connectors.opcua.security import SecurityConfig, UserConfig, read_security, read_user
from connectors.settings import Table


@dataclass(frozen=True, slots=True)
class OpcUaConfig:
    """Everything about one server."""

    url: str
    application_uri: str
    security: SecurityConfig
    user: UserConfig
    nodes: tuple[str, ...]
    shape: Shape
    browse: tuple[BrowseRule, ...]
    events: tuple[EventRule, ...]
    publishing_interval_ms: float
    sampling_interval_ms: float
    queue_size: int  # 0: planned from the intervals and bridge_s
    bridge_s: float
    items_per_subscription_max: int
    items_per_call_max: int
    notifications_per_publish_max: int
    publish_requests: int
    buffer_rows_max: int
    keepalive_s: float
    lifetime_s: float
    session_timeout_s: float
    request_timeout_s: float
    survey_interval_s: float
    discover_interval_s: float


def read_config(name: str, settings: Mapping[str, Any]) -> OpcUaConfig:
    """Read the settings table of an OPC UA source.

    Raises
    ------
    ConfigError
        If a key is unknown or missing or a value is wrong.
    """
    table = Table(settings, f"sources.{name}.settings")
    security = read_security(table)
    config = OpcUaConfig(
        url=table.text("url"),
        application_uri=table.text("application_uri", "urn:lighthouse:historian:collector"),
        security=security,
        user=read_user(table, security),
        nodes=table.texts("nodes"),
        shape=read_shape(table),
        browse=tuple(read_rule(entry) for entry in table.tables("browse")),
        events=tuple(read_events(entry) for entry in table.tables("events")),
        publishing_interval_ms=table.number("publishing_interval_ms", 500.0, 1.0, 3_600_000.0),
        sampling_interval_ms=table.number("sampling_interval_ms", 0.0, 0.0, 3_600_000.0),
        queue_size=table.integer("queue_size", 0, 0, 1_000_000),
        bridge_s=table.number("bridge_s", 60.0, 0.0, 86_400.0),
        items_per_subscription_max=table.integer("items_per_subscription_max", 5_000, 1, 100_000),
        items_per_call_max=table.integer("items_per_call_max", 1_000, 1, 10_000),
        notifications_per_publish_max=table.integer(
            "notifications_per_publish_max", 5_000, 1, 1_000_000
        ),
        publish_requests=table.integer("publish_requests", 0, 0, 8),
        buffer_rows_max=table.integer("buffer_rows_max", 200_000, 1_000, 10_000_000),
        keepalive_s=table.number("keepalive_s", 5.0, 0.1, 3_600.0),
        lifetime_s=table.number("lifetime_s", 600.0, 1.0, 86_400.0),
        session_timeout_s=table.number("session_timeout_s", 120.0, 1.0, 86_400.0),
        request_timeout_s=table.number("request_timeout_s", 4.0, 0.1, 600.0),
        survey_interval_s=table.number("survey_interval_s", 60.0, 0.1, 86_400.0),
        discover_interval_s=table.number("discover_interval_s", 3_600.0, 0.0, 2_592_000.0),
    )
    table.done()
    if not config.nodes and not config.browse and not config.events:
        raise table.refuse("nodes", [], "node ids, or browse, or events")
    if not config.url.startswith("opc.tcp://"):
        raise table.refuse("url", config.url, "opc.tcp://host:port")
    return config
