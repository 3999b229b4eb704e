"""Sparkplug B host application connector."""
