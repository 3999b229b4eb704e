"""JSON payloads mapped by configuration to samples and events."""
