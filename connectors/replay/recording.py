"""What a recording is to the replay: items and rows, read anew each time, never held whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connectors.connector import ConfigError
from connectors.simulator.node import Row
from storage_engine.sample import ValueType


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a recording: its name and the type that all its values fit."""

    name: str
    type: ValueType


class Recording(Protocol):
    """Samples as recorded, in the order of the recording."""

    name: str
    items: tuple[Item, ...]

    def rows(self) -> Iterator[Row]:
        """Every sample; the node of a row is the position of its item in ``items``."""
        ...


def find_recording(data: Path, name: str) -> Path:
    """Path of a recording.

    Parameters
    ----------
    data : Path
        Folder of the recordings.
    name : str
        ``nist_smstestbed/GFAgie01-201610``, ``GFAgie01-201610``, ``skab`` (all of it), or
        ``skab/valve1_0``.

    Returns
    -------
    Path
        A file, or the folder of skab.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name == "skab" and (data / "skab").is_dir():
        return data / "skab"
    base, _, file = name.rpartition("/")
    for folder, ending in (("nist_smstestbed", ".shdr.txt.zst"), ("skab", ".csv.gz")):
        path = data / folder / f"{file.removesuffix(ending)}{ending}"
        if base in {"", folder} and path.is_file():
            return path
    msg = f"cannot find recording: got {name!r}, want a file of nist_smstestbed or skab, at {data}"
    raise ConfigError(msg)
