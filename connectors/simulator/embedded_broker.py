"""The embedded broker: amqtt, in our own process. The one file that knows amqtt.

MQTT 3.1.1 only and about 2,000 messages a second at QoS 1: good for a demonstration and for
tests on machines without mosquitto.
"""

from amqtt.broker import Broker as Amqtt
from amqtt.errors import BrokerError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from connectors.connector import SourceUnavailable


class LoopbackClients(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets everybody in, by client id.

    amqtt's own anonymous access forgets a session as soon as its client leaves, durable or not.
    """

    async def authenticate(self, *, session: Session) -> bool:
        """Accept the client and keep its session."""
        return True


class EmbeddedBroker:
    """amqtt on a loopback port."""

    kind = "embedded"

    def __init__(self, port: int) -> None:
        self.port = port
        self._broker = Amqtt(
            {
                "listeners": {
                    "default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}
                },
                "plugins": {f"{__name__}.{LoopbackClients.__name__}": {}},
            }
        )

    async def start(self) -> None:
        """Listen. Raises SourceUnavailable when the port is taken."""
        try:
            await self._broker.start()
        except (BrokerError, OSError) as error:
            msg = f"cannot start embedded broker: got {error}, want port {self.port} free"
            raise SourceUnavailable(msg) from error

    async def stop(self) -> None:
        """Close all sessions and stop listening."""
        await self._broker.shutdown()
