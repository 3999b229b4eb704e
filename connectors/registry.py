"""Kind of source -> connector, one line each."""

from connectors.connector import Connector
from connectors.mqtt.connector import MqttConnector
from connectors.opcua.connector import OpcUaConnector

CONNECTORS: dict[str, type[Connector]] = {
    "mqtt": MqttConnector,
    "opcua": OpcUaConnector,
}
