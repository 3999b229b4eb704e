"""Joins of times, windows and intervals with the samples of tags."""
