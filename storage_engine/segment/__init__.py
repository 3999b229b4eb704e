"""Sealed immutable files of blocks."""
