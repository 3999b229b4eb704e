"""Build the wheel, install it alone, and test it from outside the checkout.

Run by ``make wheel``. The tests are copied next to an environment that has the wheel and the
development tools, so that ``import historian`` can only find what was installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIVE = {"api", "connectors", "historian", "query", "storage_engine"}


def run(*command: str, cwd: Path, **environment: str) -> None:
    """Run or stop."""
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **environment})


def build(out: Path) -> Path:
    """Build the wheel and look at its top level."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(out), cwd=ROOT)
    (wheel,) = out.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {n.split("/")[0] for n in names if ".dist-info/" not in n}
    if top != FIVE:
        sys.exit(f"cannot accept {wheel.name}: top level is {sorted(top)}, want {sorted(FIVE)}")
    compiled = {n.split(".")[0] for n in names if n.endswith(".so")}
    sources = {
        p.relative_to(ROOT).as_posix().removesuffix(".pyx")
        for top in FIVE
        for p in (ROOT / top).rglob("*.pyx")
    }
    if compiled != sources:
        sys.exit(f"cannot accept {wheel.name}: compiled {sorted(compiled)}, want {sorted(sources)}")
    return wheel


def main() -> None:
    """Build, install, test."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        wheel = build(room / "dist")
        venv.create(room / "env", with_pip=True)
        python = str(room / "env/bin/python")
        tools = ["pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "pyarrow", "playwright"]
        quiet = ["-q", "--disable-pip-version-check"]
        run(python, "-m", "pip", "install", *quiet, str(wheel), *tools, cwd=room)
        shutil.copytree(
            ROOT / "tests", room / "tests", ignore=shutil.ignore_patterns("house", "__pycache__")
        )
        shutil.copy(ROOT / "pyproject.toml", room)
        shutil.copytree(ROOT / "docs", room / "docs")
        data = os.environ.get("HISTORIAN_DATA", str(ROOT.parent / "shared/data"))
        run(str(room / "env/bin/historian"), "version", cwd=room)
        tests = [f"tests/{floor}" for floor in ("storage_engine", "query", "api")]
        command = [
            python,
            "-m",
            "pytest",
            "-q",
            "-m",
            "not slow",
            "-n",
            "2",
            "--dist",
            "loadfile",
            *tests,
        ]
        run(*command, cwd=room, HISTORIAN_DATA=data)


if __name__ == "__main__":
    main()
