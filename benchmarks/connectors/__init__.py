"""Connectors beside the libraries that do the same."""
