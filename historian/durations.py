"""Lengths of time as people write them: ``15m``, ``1.5h``, ``500ms``."""

import re

_NS = {
    "w": 604_800_000_000_000,
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_TEXT = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h|d|w)")
_MAX = 2**63 - 1
WANT = "a positive number with ns, us, ms, s, m, h, d or w, for example 10s"


def duration_ns(text: str) -> int | None:
    """Nanoseconds of a text, digits alone being nanoseconds.

    Parameters
    ----------
    text : str
        ``500ms``, ``1s``, ``10m``, ``1.5h``, ``1d``, ``1w``, or digits.

    Returns
    -------
    int or None
        At least 1 and within 64 bits; None for anything else.
    """
    text = text.strip()
    found = _TEXT.fullmatch(text)
    result = 0
    if found is not None:
        whole, _, fraction = found[1].partition(".")
        factor = _NS[found[2]]
        result = int(whole) * factor + int((fraction or "0").ljust(9, "0")) * factor // 10**9
    elif text.isascii() and text.isdigit() and len(text) <= 19:
        result = int(text)
    return result if 0 < result <= _MAX else None


def optional_ns(text: str) -> int | None:
    """Nanoseconds of a text, None for one that is empty or ``0``.

    Raises
    ------
    ValueError
        For anything that is no duration.
    """
    if text.strip() in {"", "0"}:
        return None
    found = duration_ns(text)
    if found is None:
        message = f"got {text[:64]!r}, want {WANT}"
        raise ValueError(message)
    return found


def duration_text(length_ns: int) -> str:
    """Tell a length in the largest unit up to days that is whole; :func:`duration_ns` reads it."""
    unit = next(u for u, length in _NS.items() if u != "w" and length_ns % length == 0)
    return f"{length_ns // _NS[unit]}{unit}"
