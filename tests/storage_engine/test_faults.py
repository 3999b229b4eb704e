"""EIO and ENOSPC at every call of a whole story: what was acknowledged stays, the store goes on."""

import errno
import multiprocessing
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from crash_steps import STEPS
from fault_harness import READS, WRITES, fail_every_call, fill_up

DAY = int(time.time() // 86_400)
STEP = 199
MODES = [(errno.EIO, True), (errno.EIO, False), (errno.ENOSPC, True), (errno.ENOSPC, False)]


@pytest.mark.parametrize(("code", "once"), MODES)
def test_some_calls_that_are_refused_cost_nothing_acknowledged(code, once):
    """Once or for good; which calls changes from day to day. All of them: the slow test."""
    failed = fail_every_call(STEPS, code, calls=WRITES, once=once, first=DAY * 7 % STEP, step=STEP)

    assert failed >= 5


def test_a_read_that_fails_once_costs_nothing():
    """What cannot be read now is named, and read later."""
    fail_every_call(STEPS, errno.EIO, calls=READS, once=True, first=DAY % 61, step=61)


@pytest.mark.parametrize("at", [step + DAY % 6 for step in range(1, len(STEPS) - 10, 6)])
def test_a_disk_that_is_full_for_a_while_is_written_again_by_itself(at):
    """Steps are refused, reads go on, the log does not fail, and no reopen is needed."""
    _, full = fill_up(STEPS, at, 3)

    assert full == 3


def _fail(work: tuple[int, bool, frozenset[str], int, int]) -> int:
    code, once, calls, first, step = work
    return fail_every_call(STEPS, code, calls=calls, once=once, first=first, step=step)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_call_that_is_refused_costs_nothing_acknowledged():
    """All writes, syncs, names: once and for good, by EIO and ENOSPC; all reads once; all fills."""
    work = [(*mode, WRITES, first, 2) for mode in MODES for first in range(2)]
    work += [(errno.EIO, True, READS, first, 2) for first in range(2)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        failed = sum(pool.imap_unordered(_fail, work, chunksize=1))
    refused = sum(fill_up(STEPS, at, length)[0] for at in range(1, len(STEPS)) for length in (1, 4))

    print(f"{failed} calls failed, {refused} steps refused on full disks")
    assert failed > 4_000
    assert refused > len(STEPS)
