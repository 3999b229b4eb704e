"""Build the compiled rooms: every .pyx under the five packages, in a release or a debug build.

HISTORIAN_BUILD=debug compiles bounds and overflow checks back in, with assertions and sanitizable
symbols; anything else is the release build.
"""

import os
import re
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGES = ("historian", "storage_engine", "connectors", "query", "api")
DEBUG = os.environ.get("HISTORIAN_BUILD", "release") == "debug"

# Decoding must give the same bits on every compiler and CPU: no contraction, no fast-math.
EXACT = ["-std=c11", "-ffp-contract=off", "-Wall", "-Wno-unused-function"]
FLAGS = [*EXACT, "-O1", "-g"] if DEBUG else [*EXACT, "-O3", "-g0"]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "overflowcheck": DEBUG,
    "embedsignature": True,
}


def native_sources(room: Path, kernels: Path) -> list[str]:
    """Kernel files that a room reaches, through other kernel files too: a change rebuilds it."""
    found, todo = set(), [room]
    while todo:
        text = todo.pop().read_text(encoding="utf-8")
        names = [f"{n}.pxd" for n in re.findall(r"storage_engine\.kernels\.(\w+)", text)]
        fresh = {*names, *re.findall(r'"(\w+\.h)"', text)} - found
        found |= fresh
        todo += [kernels / name for name in fresh]
    return sorted(str(kernels / name) for name in found)


def extensions() -> list[Extension]:
    """One extension per .pyx, named after its path; kernels are headers and need no entry."""
    found = sorted(p for name in PACKAGES for p in Path(name).rglob("*.pyx"))
    return [
        Extension(
            ".".join(p.with_suffix("").parts),
            [str(p)],
            depends=native_sources(p, Path("storage_engine/kernels")),
            include_dirs=["storage_engine/kernels"],
            extra_compile_args=FLAGS,
            extra_link_args=["-pthread"],
            define_macros=[("CYTHON_TRACE", "0")] if DEBUG else [("NDEBUG", "1")],
        )
        for p in found
    ]


setup(ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, nthreads=2))
