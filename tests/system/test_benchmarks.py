"""benchmarks: they run with their small sizes in every test run, so that they cannot rot."""

import pytest

from benchmarks import __main__ as entrance


@pytest.mark.parametrize("name", sorted(entrance.BENCHES))
def test_a_small_bench_runs_and_says_what_it_stored(name):
    """Figures, conditions, and a digest where something is read back."""
    for figure in entrance.BENCHES[name](True):
        assert figure.ours
        assert all(value > 0 for value in (*figure.ours, *figure.rival))
        assert {"boundary", "data", "cores"} <= set(figure.conditions)
        assert figure.name in figure.line()
