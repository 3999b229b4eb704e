"""The codecs on the real recordings: what the benchmark measures stays as small as it was."""

import numpy as np
import pytest

from benchmarks.datasets import recordings
from storage_engine.codec import encode_cold, encode_numbers
from storage_engine.codec.choice import Recipe


def bits_of(series: list[np.ndarray], rows: int, *, cold: bool) -> float:
    """Mean over series of the bits a value takes with its entry in a block's table."""
    means = []
    for values in series:
        recipe, size = Recipe(), 0
        for at in range(0, len(values), rows):
            block = values[at : at + rows]
            _, body = encode_cold(block) if cold else encode_numbers(block, recipe)
            size += 20 + len(body)
        means.append(8 * size / len(values))
    return sum(means) / len(means)


@pytest.mark.recording
def test_real_series_stay_small():
    """87 series of plants: pcodec alone needs 9.76 bits a value and 9.02 a time."""
    every = recordings.load()
    values = [one.value for one in every]
    times = [np.sort(one.timestamp_ns) for one in every if one.clock == "recorded"]

    assert bits_of(values, 8192, cold=False) <= 9.7
    assert bits_of(values, 16_384, cold=True) <= 8.5
    assert bits_of(times, 16_384, cold=True) <= 9.0
