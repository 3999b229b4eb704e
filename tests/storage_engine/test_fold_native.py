"""Exact folds as bare C under sanitizers, and on the target that was asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from native import HEADERS

from storage_engine.codec.kernels import KERNELS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """fold_bodies.c, compiled as the rooms are: no contraction."""
    out = tmp_path_factory.mktemp("native") / "bodies"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g1", "-O1", "-Wall", "-Wextra", "-Wno-unused-function"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-ffp-contract=off"]
    less = "-fno-sanitize=alignment,null,object-size,pointer-overflow"  # unaligned ones are meant
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, less, HEADERS]
    subprocess.run([*compiler, str(HERE / "fold_bodies.c"), "-o", str(out), "-lm"], check=True)
    return str(out)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_fold_steps_out_of_bounds(program, kernel):
    """Rows allocated to the byte, cut and merged, through words and back; words of no origin."""
    run = subprocess.run(
        [program],
        env={**os.environ, "HISTORIAN_KERNELS": kernel},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stderr == ""
    assert run.returncode == 0, run.stdout


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
