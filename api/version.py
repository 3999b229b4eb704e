"""What is running: the product's version and where its five packages came from."""

import importlib
import importlib.metadata
import platform
from pathlib import Path

from historian.formats import FORMATS

PACKAGES = ("api", "connectors", "historian", "query", "storage_engine")
DISTRIBUTION = "lighthouse-historian"


class WrongInstallation(RuntimeError):  # noqa: N818 - says what is wrong, not that it is an error
    """The program must not go on with what was imported."""


def product_version() -> str:
    """Version of the installed distribution."""
    return importlib.metadata.version(DISTRIBUTION)


def facts() -> dict[str, str]:
    """Versions that a report of a fault should name."""
    return {
        "historian": product_version(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "numpy": importlib.metadata.version("numpy"),
        **{f"{name} format": str(version) for name, version in FORMATS.items()},
    }


def check_installation(*, debug: bool) -> None:
    """Refuse to run with checks switched off, or with packages mixed from several places.

    Parameters
    ----------
    debug : bool
        ``__debug__`` of the caller; False under ``python -O``.

    Raises
    ------
    WrongInstallation
        Another distribution may bring a package called ``api`` or ``query`` and overwrite ours
        without a word; then nothing that follows can be trusted.
    """
    if not debug:
        raise WrongInstallation(
            "cannot run: python runs with -O, want it without: asserts guard the data"
        )
    places = {}
    for name in PACKAGES:
        found = importlib.import_module(name).__file__
        assert found is not None
        places[name] = Path(found).resolve().parent.parent
    home = places["historian"]
    strangers = sorted(name for name, place in places.items() if place != home)
    if strangers:
        where = ", ".join(f"{name} from {places[name]}" for name in strangers)
        raise WrongInstallation(f"cannot run: got {where}, want all five packages from {home}")
