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


KERNELS = {p for p in Path().glob("*/kernels/*") if p.suffix in {".h", ".pxd"}}


def native_sources(room: Path) -> list[str]:
    """Kernel files that a room reaches, through other kernel files too: a change rebuilds it."""
    found, todo = set(), [room]
    while todo:
        named = re.findall(r'\.kernels\.(\w+)|"(\w+)\.h"', todo.pop().read_text(encoding="utf-8"))
        fresh = {kernel for kernel in KERNELS if any(kernel.stem in pair for pair in named)} - found
        found, todo = found | fresh, [*todo, *fresh]
    return sorted(map(str, found))


def extensions() -> list[Extension]:
    """One extension per .pyx, named after its path; kernels are headers and need no entry."""
    return [
        Extension(
            ".".join(p.with_suffix("").parts),
            [str(p)],
            depends=native_sources(p),
            include_dirs=["storage_engine/kernels", "connectors/kernels", "query/kernels"],
            extra_compile_args=FLAGS,
            extra_link_args=["-pthread"],
            define_macros=[("CYTHON_TRACE", "0")] if DEBUG else [("NDEBUG", "1")],
        )
        for p in sorted(p for name in PACKAGES for p in Path(name).rglob("*.pyx"))
    ]


setup(ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, nthreads=2))
