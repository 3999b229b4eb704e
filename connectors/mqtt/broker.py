"""Settings of a line to a broker, for every kind of source that speaks MQTT."""

from dataclasses import dataclass

from connectors.settings import Table

PROTOCOLS = ("auto", "5", "3.1.1")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and the quality of service asked for."""

    topic: str
    qos: int


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Where a broker is, how it knows us, and what it is asked for.

    ``clean`` asks for a session that neither goes on with an older one nor outlives the line.
    """

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
    tls: bool
    tls_ca_file: str
    tls_certificate_file: str
    tls_key_file: str
    subscriptions: tuple[Subscription, ...]
    clean: bool

    def protocols(self) -> list[str]:
        """Versions to try, in turn: a broker without MQTT 5 just hangs up."""
        return ["5", "3.1.1"] if self.protocol == "auto" else [self.protocol]


def read_broker(
    table: Table, name: str, subscriptions: tuple[Subscription, ...], *, clean: bool = False
) -> BrokerConfig:
    """Take the settings of the line to the broker out of a source's table.

    Raises
    ------
    ConfigError
        If a value is wrong or missing.
    """
    config = BrokerConfig(
        host=table.text("host"),
        port=table.integer("port", 1883, 1, 65_535),
        client_id=table.text("client_id", f"lighthouse-{name}"),
        username=table.secret("username"),
        password=table.secret("password"),
        protocol=table.text("protocol", "auto", among=PROTOCOLS),
        keepalive_s=table.integer("keepalive_s", 30, 1, 65_535),
        connect_timeout_s=table.number("connect_timeout_s", 10.0, 0.1, 600.0),
        session_expiry_s=0
        if clean
        else table.integer("session_expiry_s", 7 * 86_400, 0, 0xFFFF_FFFF),
        receive_maximum=table.integer("receive_maximum", 2_000, 1, 65_535),
        buffer_bytes_max=table.integer("buffer_bytes_max", 16 << 20, 1 << 16, 1 << 30),
        message_bytes_max=table.integer("message_bytes_max", 4 << 20, 1 << 10, 256 << 20),
        tls=table.flag("tls", default=False),
        tls_ca_file=table.text("tls_ca_file", ""),
        tls_certificate_file=table.text("tls_certificate_file", ""),
        tls_key_file=table.text("tls_key_file", ""),
        subscriptions=subscriptions,
        clean=clean,
    )
    if not config.client_id:
        raise table.refuse("client_id", "", "a name: the broker keeps the session under it")
    return config
