"""Kind of source -> connector, one line each."""

from connectors.connector import Connector
from connectors.mqtt.connector import MqttConnector
from connectors.opcua.connector import OpcUaConnector
from connectors.sparkplug.connector import SparkplugConnector

CONNECTORS: dict[str, type[Connector]] = {
    "mqtt": MqttConnector,
    "opcua": OpcUaConnector,
    "sparkplug": SparkplugConnector,
}
