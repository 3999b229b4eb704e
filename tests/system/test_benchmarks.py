"""benchmarks: they run with their small sizes in every test run, so that they cannot rot."""

import pytest

from benchmarks import __main__ as entrance
from benchmarks import table


@pytest.fixture(scope="module", autouse=True)
def _kept(tmp_path_factory):
    """What is dear to make goes with the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISTORIAN_BENCH_DIR", str(tmp_path_factory.mktemp("bench")))
        yield


@pytest.mark.parametrize("name", sorted(entrance.BENCHES))
def test_a_small_bench_runs_and_says_what_it_stored(name):
    """Figures, conditions, and a digest where something is read back; all rows of the table."""
    figures = list(entrance.BENCHES[name](True))
    for figure in figures:
        assert figure.ours
        assert all(value > 0 for value in (*figure.ours, *figure.rival))
        assert {"boundary", "data", "cores"} <= set(figure.conditions)
        assert figure.name in figure.line()
    named = {figure.name for figure in figures}
    wanted = {entry.figure for entry in table.ENTRIES if entry.bench == name}
    # Sizes of the recordings are measured where they are.
    assert {one for one in wanted if not one.startswith("series")} <= named
