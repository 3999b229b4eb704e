"""Units of measure: which are known, and the numbers that lead from one to another.

The texts are read by our own tables (``query/eng_unit_words.py``); pint knows what the words are
worth. It is loaded when a conversion is asked for the first time, which takes a moment, and never
by a read that converts nothing.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from query.eng_unit_words import WORDS, Factors, factors_of
from query.errors import BadRequest
from storage_engine.sample import AnyArray

Float64Array = npt.NDArray[np.float64]
_AFFINE = {"degree_Celsius", "degree_Fahrenheit"}
_TURN = "turn"
_ANGLES = {"radian": 1, "degree": 1, "arcminute": 1, "arcsecond": 1, "steradian": 2}
_EXACT_MAX = 2**53
# Powers that people tell apart, normal volumes and gauge pressures are no joules, cubic meters and
# absolute pressures: they have dimensions of their own, and are not converted into them.
_OWN = (
    "ppb = 1e-9",
    "apparent_watt = [apparent_power]",
    "reactive_watt = [reactive_power]",
    "normal_cubic_meter = [normal_volume]",
    "gauge_bar = [gauge_pressure]",
    "gauge_kilopascal = 0.01 * gauge_bar",
    "gauge_psi = 0.0689475729316836133 * gauge_bar",
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """``value * multiplier / divisor + offset``, exact as fractions.

    Attributes
    ----------
    unit : str
        Unit of the results, as it was asked for.
    factor, offset : Fraction
    """

    unit: str
    factor: Fraction
    offset: Fraction

    @property
    def affine(self) -> bool:
        """Whether zero of the one unit is not zero of the other."""
        return self.offset != 0

    @property
    def same(self) -> bool:
        """Whether numbers stay as they are."""
        return self.factor == 1 and self.offset == 0

    def values(self, value: AnyArray) -> Float64Array:
        """Convert values, float64; NaN and infinities stay."""
        return _computed(value, self.factor, self.offset)

    def differences(self, value: AnyArray) -> Float64Array:
        """Convert differences of values, and what is made of differences: by the factor alone."""
        return _computed(value, self.factor, Fraction(0))

    def squares(self, value: AnyArray) -> Float64Array:
        """Convert squares of differences: by the factor squared."""
        return _computed(value, self.factor * self.factor, Fraction(0))

    def back(self, value: float) -> float:
        """Convert one value of ``unit`` into the unit before; infinities stay."""
        if not np.isfinite(value):
            return value
        return float((Fraction(value) - self.offset) / self.factor)


def _computed(value: AnyArray, factor: Fraction, offset: Fraction) -> Float64Array:
    """``value * factor + offset`` with as few roundings as doubles allow."""
    number = value.astype(np.float64)
    up, down = factor.numerator, factor.denominator
    if offset:
        down = lcm(down, offset.denominator)
        up = int(factor * down)
    add = int(offset * down)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if max(up, down, abs(add)) <= _EXACT_MAX:
            result = (number * float(up) + float(add)) / float(down)
            beyond = ~np.isfinite(result) & np.isfinite(number)
            if not beyond.any():
                return result
            result[beyond] = number[beyond] * float(factor) + float(offset)
            return result
        return number * float(factor) + float(offset)


def is_known(unit: str) -> bool:
    """Whether a unit can be converted into others; an empty text is none.

    Loads the library only for words that are not in our tables.
    """
    product = factors_of(unit)
    return product is not None and (not product.strange or _worth(product) is not None)


@lru_cache(maxsize=4096)
def conversion(have: str, want: str, tag: str) -> Conversion:
    """Find how values of a tag in one unit become values in another.

    Parameters
    ----------
    have : str
        Unit of the tag.
    want : str
        Unit that was asked for.
    tag : str
        Name of the tag, for the error.

    Raises
    ------
    BadRequest
        For a unit that is not known, a tag without one, or units of different dimensions.
    """
    what = "convert units"
    asked = factors_of(want)
    if asked is None or not is_known(want):
        shown = "a unit of measure, such as degC, bar, m3/h, kWh or l/min"
        raise BadRequest(what, got=repr(want), want=shown, where="eng_unit")
    if not have.strip():
        got = "a tag without unit"
        raise BadRequest(what, got=got, want="a tag with eng_unit", where=f"tag {tag!r}")
    if have == want:
        return Conversion(want, Fraction(1), Fraction(0))
    held = factors_of(have)
    if held is None or not is_known(have):
        got = f"the tag's unit {have!r}, which is not known"
        raise BadRequest(what, got=got, want="a tag whose unit is known", where=f"tag {tag!r}")
    found = _between(held, asked)
    if found is None:
        got = f"{have!r} as {want!r}"
        raise BadRequest(what, got=got, want="units of one dimension", where=f"tag {tag!r}")
    return Conversion(want, *found)


def squared_unit(unit: str) -> str:
    """Text of the square of a unit, as of a variance; empty for none."""
    unit = unit.strip()
    return f"({unit})²" if any(sign in unit for sign in "*·⋅ /²³⁻^") else unit and f"{unit}²"


def _between(held: Factors, asked: Factors) -> tuple[Fraction, Fraction] | None:
    """Factor and offset; None for different dimensions."""
    if _angle(held) != _angle(asked):
        # Who counts turns counts: 60 rpm are 1 Hz. An angle that is measured is no count.
        held, asked = held.without(_TURN), asked.without(_TURN)
        if _angle(held) != _angle(asked):
            return None
    one, other = _worth(held), _worth(asked)
    if one is None or other is None or one[0] != other[0]:
        return None
    factor = one[1] / other[1]
    return factor, (one[2] - other[2]) / other[1]


def _angle(product: Factors) -> int:
    counted = {**_ANGLES, _TURN: 1}
    return sum(counted.get(name, 0) * power for name, power in product.powers)


@lru_cache(maxsize=4096)
def _worth(product: Factors) -> tuple[frozenset[tuple[str, Fraction]], Fraction, Fraction] | None:
    """Dimensions, and factor and offset to base units; None where a word is not known."""
    registry = _registry()
    affine = len(product.powers) == 1 and product.powers[0][1] == 1
    dimensions: dict[str, Fraction] = {}
    factor, offset = Fraction(1), Fraction(0)
    for name, power in product.powers:
        one = _word_worth(registry, name)
        if one is None:
            return None
        for dimension, of in one[0]:
            dimensions[dimension] = dimensions.get(dimension, Fraction(0)) + of * power
        factor *= one[1] ** power
        if affine:
            offset = one[2]
    return frozenset((d, p) for d, p in dimensions.items() if p), factor, offset


def _word_worth(
    registry: Any, name: str
) -> tuple[tuple[tuple[str, Fraction], ...], Fraction, Fraction] | None:
    if name not in _TABLED and not _is_full_name(registry, name):
        return None
    unit = registry.Unit(name)
    try:
        zero, one, two = (
            Fraction(registry.Quantity(Fraction(number), unit).to_base_units().magnitude)
            for number in range(3)
        )
    except (TypeError, AttributeError):
        return None  # a logarithm, which fractions do not have
    if two - one != one - zero or (zero and name not in _AFFINE):
        return None
    dimensions = tuple((str(d), Fraction(p)) for d, p in unit.dimensionality.items())
    return dimensions, one - zero, zero


_TABLED = frozenset(WORDS.values()) | {"watt", "ampere", "hour"}


def _is_full_name(registry: Any, name: str) -> bool:
    """Whether a word is the full name of a unit, as ``furlong``, and no symbol that only fits."""
    try:
        return len(name) > 3 and bool(registry.get_name(name) == name)
    except Exception:  # noqa: BLE001 - a text from outside, in a parser that raises what it likes
        return False


@cache
def _registry() -> Any:
    """Load the library: exact numbers, our own units beside its own."""
    import pint

    registry: Any = pint.UnitRegistry(non_int_type=Fraction)
    for line in _OWN:
        registry.define(line)
    return registry
