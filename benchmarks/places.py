"""Where benchmarks keep what is dear to make: outside the repository, kept between runs."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def home() -> Path:
    """``HISTORIAN_BENCH_DIR``, else a folder of the user's cache, else one for temporary files."""
    named = os.environ.get("HISTORIAN_BENCH_DIR")
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    for place in [named] if named else [cache, tempfile.gettempdir()]:
        path = Path(place).expanduser() / ("" if named else "historian-bench")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(path, os.W_OK):
            return path
    raise SystemExit(f"cannot keep data sets: got no folder to write to, want {named or cache}")


def recordings() -> Path:
    """Folder of the real recordings."""
    beside = REPOSITORY / "../shared/data"
    return Path(os.environ.get("HISTORIAN_DATA", beside)).resolve()


def digest(paths: Iterable[Path], *words: object) -> str:
    """Short name of the contents of files and of some words."""
    total = hashlib.blake2b(repr(words).encode(), digest_size=6)
    for path in sorted(paths):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def kept(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """A folder made once; older ones of its kind go when a new one is made.

    A folder that is not whole never has its name: it is made under another one.
    """
    path = home() / f"{kind}-{key}"
    if path.exists():
        return path
    for old in home().glob(f"{kind}-*"):
        if len(old.name) == len(path.name):
            shutil.rmtree(old, ignore_errors=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=home()))
    try:
        make(making)
        making.rename(path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return path


def size_of(path: Path, *, without: tuple[str, ...] = ()) -> int:
    """Bytes of all files below, those of some folders left out; holes of sparse files are none."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    facts = [p.stat() for p in files if not set(p.relative_to(path).parts) & set(without)]
    return sum(min(fact.st_size, fact.st_blocks * 512) for fact in facts)
