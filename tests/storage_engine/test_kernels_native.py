"""kernels/: bare C under sanitizers, without Python in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from native import HEADERS

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_the_committer_has_no_race_and_no_bad_access(tmp_path, sanitizer):
    """Producers, the committer's thread and a switch of files meet in one mutex only."""
    program = tmp_path / "race"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    build = [os.environ.get("CC", "cc"), *flags, f"-fsanitize={sanitizer}", HEADERS]
    subprocess.run([*build, str(HERE / "committer_race.c"), "-o", str(program)], check=True)

    run = subprocess.run(
        [str(program), str(tmp_path / "one"), str(tmp_path / "two")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stderr == ""
    assert run.returncode == 0
