"""What the two cameras see: defects on split boards, steps of the assembly at the tester."""

from collections.abc import Callable
from random import Random

_DEFECTS = ("tombstone", "solder_bridge", "missing_part", "polarity")
_STEPS = ("insert_board", "close_housing", "apply_label", "remove_board")


def inspect(
    publish: Callable[..., None], random: Random, begin_ns: int, now_ns: int, board: str
) -> None:
    """Look at a split board: one event, OK, NOK or UNDECIDED, with a defect where one is seen.

    Parameters
    ----------
    publish : callable
        Takes the columns of a ``vision_event``.
    random : Random
    begin_ns, now_ns : int
        Bounds of the look, ns UTC.
    board : str
    """
    defect = random.random() < 0.05
    confidence = round(random.uniform(0.55, 0.99), 3)
    verdict = "UNDECIDED" if confidence < 0.6 else "NOK" if defect else "OK"
    publish(
        station="st5",
        unit=board,
        event="defect" if defect else "cycle",
        label=random.choice(_DEFECTS) if defect else "no_defect",
        confidence=confidence,
        verdict=verdict,
        model="board-inspection",
        model_version="3.1.0",
        start_ns=begin_ns,
        end_ns=now_ns,
        clip=f"clips/cam5/{board}.mp4" if defect else None,
    )


def watch_assembly(
    publish: Callable[..., None], random: Random, begin_ns: int, end_ns: int, board: str
) -> None:
    """Watch the steps at the tester: one event per step, in order, within [begin, end).

    Parameters
    ----------
    publish : callable
        Takes the columns of a ``vision_event``.
    random : Random
    begin_ns, end_ns : int
        Bounds of the work, ns UTC.
    board : str
    """
    length_ns = (end_ns - begin_ns) // len(_STEPS)
    for index, step in enumerate(_STEPS):
        start_ns = begin_ns + index * length_ns
        skipped = random.random() < 0.01
        confidence = round(random.uniform(0.8, 0.999), 3)
        publish(
            station="st6",
            unit=board,
            event="step",
            step=step,
            label="skipped" if skipped else "done",
            confidence=confidence,
            verdict="NOK" if skipped else "OK",
            model="assembly-steps",
            model_version="1.4.2",
            start_ns=start_ns,
            end_ns=start_ns + length_ns,
            clip=f"clips/cam6/{board}-{step}.mp4" if skipped else None,
        )
