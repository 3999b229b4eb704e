"""Real recordings played through a real OPC UA server and a real MQTT broker."""
