"""How samples become facts, and of which windows."""

from dataclasses import dataclass, field

from query.ports import Holes
from query.registers import Declaration
from query.series import Signal
from storage_engine.sample import BoolArray, Int64Array


@dataclass(frozen=True, slots=True)
class Counter:
    """How a register counts; as of ``query.registers.unroll``."""

    modulus: float | None = None
    rate_max_per_s: float | None = None
    resets: bool = False
    declarations: tuple[Declaration, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """How samples become facts.

    Attributes
    ----------
    stepped : bool
        A value holds until the next sample; else a line joins them.
    treat_uncertain_as_bad : bool
        Uncertain samples are not usable.
    use_sloped_extrapolation : bool
        Interpolated bounds after the last usable sample follow the last slope.
    data_end_ns : int
        Where the covered time ends: one tick after the newest sample, or later when it holds.
    hold : bool
        The newest sample is known to hold until ``data_end_ns``.
    hold_max_ns : int or None
        A sample tells the value for so long at most.
    holes : Holes
        When nobody collected samples.
    counter : Counter
        Of a tag that counts.
    """

    stepped: bool
    treat_uncertain_as_bad: bool
    use_sloped_extrapolation: bool
    data_end_ns: int
    hold: bool
    hold_max_ns: int | None = None
    holes: Holes = field(default_factory=Holes.none)
    counter: Counter = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows [start, end), each a piece of an interval that began at ``origin_ns``."""

    start_ns: Int64Array
    end_ns: Int64Array
    origin_ns: Int64Array


def usable(signal: Signal, rules: Rules) -> BoolArray:
    """Mask of samples that are not bad by these rules."""
    return signal.severity < (1 if rules.treat_uncertain_as_bad else 2)
