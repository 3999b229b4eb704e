"""Names of files that callers of the server may give: below one folder, and nowhere else."""

from pathlib import Path, PurePosixPath

from historian.errors import RequestInvalid

_WANT = "a relative path below transfer.path, without .. and without links"


def below(root: Path, text: str) -> Path:
    """Resolve a caller's path.

    Parameters
    ----------
    root : Path
        The transfer folder.
    text : str
        Relative, with ``/``.

    Returns
    -------
    Path
        It may not exist yet.

    Raises
    ------
    RequestInvalid
        For a path that is empty, absolute, climbs, or passes through a symbolic link.
    """
    path = PurePosixPath(text)
    parts = path.parts
    bad = not parts or path.is_absolute() or ".." in parts or "\0" in text or "\\" in text
    if not bad:
        here = root.resolve()
        for part in parts:
            here /= part
            bad = bad or here.is_symlink()
        bad = bad or not here.resolve().is_relative_to(root.resolve())
    if bad:
        message = f"cannot use path: got {text[:200]!r}, want {_WANT}"
        raise RequestInvalid(message, got=text[:200], want=_WANT, where="path")
    return root.resolve() / path
