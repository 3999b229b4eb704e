"""MQTT client connector."""
