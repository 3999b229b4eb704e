"""What a golden store holds, beside it as JSON; a long one is compressed."""

import gzip
import json
from pathlib import Path
from typing import Any

NAME = "expected.json"
_PLAIN_MAX = 300_000


def dump(directory: Path, facts: Any) -> None:
    """JSON with a line per list of rows, so that a difference can be read."""
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":")).replace("]],[", "]],\n[")
    data = (text.replace('"plain"', '\n"plain"') + "\n").encode("ascii")
    if len(data) <= _PLAIN_MAX:
        (directory / NAME).write_bytes(data)
    else:
        (directory / f"{NAME}.gz").write_bytes(gzip.compress(data, mtime=0))


def load(directory: Path) -> Any:
    """Read what :func:`dump` wrote."""
    plain = directory / NAME
    if plain.exists():
        return json.loads(plain.read_bytes())
    return json.loads(gzip.decompress((directory / f"{NAME}.gz").read_bytes()))
