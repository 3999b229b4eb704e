"""Exact folds as bare C under sanitizers, of rows and of packed blocks, on every kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage_engine.codec.kernels import KERNELS

sys.path.insert(0, str(Path(__file__).parent))
from native import HEADERS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def compiled(name, folder):
    """A driver, compiled as the rooms are: no contraction."""
    out = folder / name
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g1", "-O1", "-Wall", "-Wextra", "-Wno-unused-function"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-ffp-contract=off"]
    less = "-fno-sanitize=alignment,null,object-size,pointer-overflow"  # unaligned ones are meant
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, less, HEADERS]
    subprocess.run([*compiler, str(HERE / f"{name}.c"), "-o", str(out), "-lm"], check=True)
    return str(out)


def run_on(kernel, *command):
    """The run of a driver on one kernel."""
    environment = {**os.environ, "HISTORIAN_KERNELS": kernel}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Rows, states and words."""
    return compiled("fold_bodies", tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def block_program(tmp_path_factory):
    """Packed blocks."""
    return compiled("block_fold_bodies", tmp_path_factory.mktemp("native"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_fold_steps_out_of_bounds(program, kernel):
    """Rows allocated to the byte, cut and merged, through words and back; words of no origin."""
    run = run_on(kernel, program)

    assert run.stderr == ""
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("amount", ["some", pytest.param("more", marks=pytest.mark.slow)])
def test_no_fold_of_a_block_steps_out_of_bounds_and_kernels_agree(block_program, amount):
    """Whole blocks, prefixes, turned bits: the states of all are the same bits on every kernel."""
    runs = {kernel: run_on(kernel, block_program, amount) for kernel in KERNELS}

    for kernel, run in runs.items():
        assert run.stderr == "", kernel
        assert run.returncode == 0, (kernel, run.stdout[-300:])
    told = {kernel: run.stdout.splitlines() for kernel, run in runs.items()}
    assert len(told["scalar"]) > 500
    for kernel, lines in told.items():
        other = [pair for pair in zip(told["scalar"], lines, strict=True) if pair[0] != pair[1]]
        assert other == [], kernel


@pytest.mark.parametrize("room", ["storage_engine.fold", "storage_engine.codec.kernels"])
def test_kernels_that_are_not_there_are_refused(room):
    """By every room alike, before anything is computed."""
    run = subprocess.run(
        [sys.executable, "-c", f"import {room}"],
        env={**os.environ, "HISTORIAN_KERNELS": "avx1024", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode != 0
    assert "cannot choose kernels: got 'avx1024', want one of" in run.stderr.splitlines()[-1]
