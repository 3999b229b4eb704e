"""The collector process of a replay: how it is configured and kept alive."""

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.connector import Clock
from historian.collector.supervisor import Child, Supervisor

NAME = "replay"


def as_toml(value: object) -> str:
    """Write a value as TOML; tables are written inline.

    Parameters
    ----------
    value : object
        dict, list or tuple, str, bool, int, float or Path.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(entry) for entry in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def collector_config(
    folder: Path, server_url: str, token_file: Path, sources: Mapping[str, tuple[str, Any]]
) -> str:
    """Write the configuration of a collector.

    Parameters
    ----------
    folder : Path
        Where its spool lies.
    server_url : str
    token_file : Path
    sources : mapping of name to (kind, settings)
    """
    document = {
        "store": {"path": folder / "store"},
        "collectors": [
            {
                "name": NAME,
                "spool_path": folder / "spool",
                "server_url": server_url,
                "token_file": token_file.resolve(),
            }
        ],
        "sources": [
            {"name": name, "kind": kind, "collector": NAME, "settings": settings}
            for name, (kind, settings) in sources.items()
        ],
    }
    return "".join(f"{key} = {as_toml(value)}\n" for key, value in document.items())


def collector_process(config_file: Path, clock: Clock) -> Supervisor:
    """Keep ``python -m historian.collector`` alive, with the same spool after each start.

    Parameters
    ----------
    config_file : Path
        Written with :func:`collector_config`.
    clock : Clock
    """
    argv = (sys.executable, "-m", "historian.collector", "--config", str(config_file))
    child = Child(NAME, (*argv, "--name", NAME, "--supervised"))
    return Supervisor((child,), clock, random.Random(NAME))  # noqa: S311 - jitter of waits
