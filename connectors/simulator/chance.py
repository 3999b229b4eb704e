"""Random numbers that depend on the seed and on what they are for, and on nothing else."""

from random import Random


def seeded(seed: int, *purpose: str) -> Random:
    """Give a generator of its own for each purpose, so that one never disturbs another."""
    return Random("/".join((str(seed), *purpose)))  # noqa: S311 - a simulation, not a secret
