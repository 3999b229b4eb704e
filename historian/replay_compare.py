"""What must be in the store after a play, and whether it is. Pure.

Of equal samples of one item the store keeps one; of different ones at one time it keeps all, as
revisions in order of arrival, and a plain read gives the last written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Sample = tuple[int, int, object]
"""(time ns, quality, value); the value is float, int, str or None."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Held:
    """Samples of one item as the server gives them.

    Attributes
    ----------
    revisions : sequence of Sample
        All revisions, by time, those of one time in order of arrival.
    newest : sequence of Sample
        The plain read.
    lsns : sequence of int
        The lsn of each revision.
    """

    revisions: Sequence[Sample]
    newest: Sequence[Sample]
    lsns: Sequence[int]


def _key(sample: Sample) -> tuple[int, int, str, str]:
    """Make equal what is equal bit by bit: -0.0 is not 0.0, 1 is not 1.0."""
    time_ns, quality, value = sample
    return time_ns, quality, type(value).__name__, repr(value)


def expected_revisions(played: Iterable[Sample]) -> list[Sample]:
    """Give all that must be kept of an item, in the order of a read.

    Parameters
    ----------
    played : iterable of Sample
        In the order of the recording.
    """
    kept: dict[tuple[int, int, str, str], Sample] = {}
    for sample in played:
        kept.setdefault(_key(sample), sample)
    return sorted(kept.values(), key=_time)


def expected_newest(played: Iterable[Sample]) -> list[Sample]:
    """Give what a plain read of an item must show: the last written per time."""
    return sorted({sample[0]: sample for sample in played}.values(), key=_time)


def _time(sample: Sample) -> int:
    return sample[0]


def differences(item: str, played: Sequence[Sample], held: Held) -> tuple[str, ...]:
    """Say how the store differs from what was played; nothing when it does not.

    Parameters
    ----------
    item : str
        For the text.
    played : sequence of Sample
        In the order of the recording.
    held : Held
        What the server gives.

    Returns
    -------
    tuple of str
        At most a few sentences.
    """
    return (
        *_compare(f"{item}, all revisions", expected_revisions(played), held.revisions),
        *_compare(f"{item}, plain read", expected_newest(played), held.newest),
    )


def _compare(what: str, want: Sequence[Sample], got: Sequence[Sample]) -> tuple[str, ...]:
    want_keys, got_keys = [_key(s) for s in want], [_key(s) for s in got]
    if want_keys == got_keys:
        return ()
    missing = _minus(want_keys, got_keys)
    extra = _minus(got_keys, want_keys)
    if not missing and not extra:
        at = next(i for i, (w, g) in enumerate(zip(want_keys, got_keys, strict=True)) if w != g)
        return (f"{what}: got order {got[at]!r}, want {want[at]!r}, at row {at}",)
    text = f"{what}: got {len(got)} samples, want {len(want)}"
    if missing:
        text += f"; {len(missing)} missing, such as {missing[:_SHOWN]}"
    if extra:
        text += f"; {len(extra)} too many, such as {extra[:_SHOWN]}"
    return (text,)


def _minus(
    ours: list[tuple[int, int, str, str]], others: list[tuple[int, int, str, str]]
) -> list[tuple[int, int, str, str]]:
    """Multiset difference, in order."""
    counts: dict[tuple[int, int, str, str], int] = {}
    for key in others:
        counts[key] = counts.get(key, 0) + 1
    left = []
    for key in ours:
        if counts.get(key, 0):
            counts[key] -= 1
        else:
            left.append(key)
    return left
