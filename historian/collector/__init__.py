"""A process that hosts connectors and a spool, and ships frames to the server."""
