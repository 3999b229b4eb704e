"""What an aggregate needs to know of an interval: small facts that join.

An aggregate sees only facts, never samples. Facts of adjoining windows join into the facts of
their union, so an interval may be read in pieces, and whoever holds summaries may answer instead
of the samples. Counts, durations and extremes are exact; areas are sums of a shape fixed by the
request. To add facts, write a file and a line in ``registry.py``.
"""
