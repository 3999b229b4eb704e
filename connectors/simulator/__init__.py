"""An electronics line, reproducible by seed, with a real OPC UA server and a real MQTT broker."""
