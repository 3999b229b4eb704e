"""Seeded generators of plant data."""
