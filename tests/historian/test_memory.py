"""memory.py: what a burst used goes back to the system."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from pathlib import Path
from historian.memory import bound_allocator

survivors = []

def resident_kb():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1])

def burst():
    del bytearray(8_000_000)[:]
    large = []
    for _ in range(80):
        large.append(bytearray(500_000))
        survivors.append(bytearray(1_000))

if sys.argv[1] == "bound":
    assert bound_allocator()
before = resident_kb()
for _ in range(4):
    threads = [threading.Thread(target=burst) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
print(resident_kb() - before)
"""


@pytest.mark.parametrize(("how", "small"), [("bound", True), ("unbound", False)])
def test_a_burst_in_many_threads_leaves_little_behind(how, small):
    """Large blocks between small ones that stay: without the bounds they stay as well."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )

    assert small == (int(told.stdout) < 15_000), told.stdout
