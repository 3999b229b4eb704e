"""Spellings of units, what they are worth to each other, and what every aggregate says it is."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.aggregates.measure import Measure
from query.aggregates.naming import FAMILIES, aggregate_named
from query.aggregates.registry import AGGREGATES
from query.eng_unit_words import WORDS, factors_of
from query.eng_units import _worth, conversion, is_known
from query.errors import BadRequest

PLANT = "°C degC K °F m³/h m3/h Nm³/h kWh l/min bar mbar psi % 1/min rpm kW VAr kvarh ppm Nm N·m"
CODES = "CEL KWH KWT BAR MQH L2 P1 C62 HTZ VLT AMP 2Z 4K"


@pytest.mark.parametrize("unit", [*PLANT.split(), *CODES.split(), "J/(kg*K)", "W/m²", "min-1"])
def test_what_plants_write_is_known(unit):
    """Without it every tag of the plant would come with a warning."""
    assert is_known(unit)
    assert conversion(unit, unit + " ", "t").same


@pytest.mark.parametrize(
    "unit",
    ["", "  ", "pcs", "NTU", "rH%", "pH", "Stk", "units", "dBm", "J/kg·K", "10m", "/m", "a3b1"],
)
def test_what_physics_would_take_for_something_else_is_not_known(unit):
    """To physics pcs is a parsec, pH a picohenry and units micronits."""
    assert not is_known(unit)


def test_every_word_of_the_tables_is_worth_something():
    """A word that the library does not have would fail at the first question."""
    for word in WORDS:
        if factors_of(word).powers:
            assert _worth(factors_of(word)) is not None, word


# From, to, value, result: numbers of the definitions (SI brochure, NIST SP 811).
WORTH = [
    ("degC", "degF", 100.0, 212.0),
    ("°F", "K", 32.0, 273.15),
    ("K", "°C", 0.0, -273.15),
    ("kWh", "MJ", 1.0, 3.6),
    ("bar", "kPa", 1.5, 150.0),
    ("psi", "Pa", 1.0, 6894.757293168361),
    ("m3/h", "l/min", 0.06, 1.0),
    ("rpm", "Hz", 60.0, 1.0),
    ("rpm", "1/min", 7.0, 7.0),
    ("rpm", "rad/s", 60.0, 6.283185307179586),
    ("%", "ppm", 1.0, 10_000.0),
    ("ppb", "ppm", 5.0, 0.005),
    ("°C/min", "°F/h", 1.0, 108.0),
    ("mm", "m", 300.0, 0.3),
    ("kvarh", "VArh", 2.0, 2_000.0),
    ("PS", "W", 1.0, 735.49875),
    ("lb", "kg", 1.0, 0.45359237),
    ("ft", "m", 1.0, 0.3048),
    ("kp", "N", 1.0, 9.80665),
    ("t/d", "kg/h", 24.0, 1_000.0),
]


@pytest.mark.parametrize(("have", "want", "value", "result"), WORTH)
def test_known_numbers(have, want, value, result):
    """Exactly where the fraction is short, to one rounding where not."""
    found = conversion(have, want, "t")

    assert found.values(np.array([value])).tolist() == pytest.approx([result], rel=4e-16, abs=0)
    assert found.back(result) == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("have", "want", "got", "at"),
    [
        ("bar", "parrot", "'parrot'", "eng_unit"),
        ("bar", "", "''", "eng_unit"),
        ("", "bar", "a tag without unit", "tag 'oven'"),
        ("pcs", "bar", "the tag's unit 'pcs', which is not known", "tag 'oven'"),
        ("bar", "kW", "'bar' as 'kW'", "tag 'oven'"),
        ("VA", "W", "'VA' as 'W'", "tag 'oven'"),
        ("Nm³/h", "m³/h", "'Nm³/h' as 'm³/h'", "tag 'oven'"),
        ("rad/s", "Hz", "'rad/s' as 'Hz'", "tag 'oven'"),
        ("barg", "bar", "'barg' as 'bar'", "tag 'oven'"),
    ],
)
def test_refusals_name_what_is_wrong(have, want, got, at):
    """Units that only look alike are not converted in silence."""
    with pytest.raises(BadRequest) as refused:
        conversion(have, want, "oven")

    assert (refused.value.got, refused.value.where) == (got, at)


PAIRS = [("degC", "degF"), ("degF", "K"), ("bar", "psi"), ("mm", "m"), ("kWh", "J"), ("%", "1")]


@given(st.sampled_from(PAIRS), st.floats(-1e290, 1e290))
def test_values_are_near_the_fractions(pair, value):
    """Against exact arithmetic; the bound is a few roundings of the largest term."""
    found = conversion(*pair, "t")
    exact = Fraction(value) * found.factor + found.offset
    bound = 1e-15 * (abs(float(exact)) + abs(float(found.offset))) + 1e-300

    made = found.values(np.array([value]))[0]

    assert abs(Fraction(float(made)) - exact) <= Fraction(bound)
    exact_square = Fraction(value) * found.factor**2
    assert float(found.squares(np.array([value]))[0]) == pytest.approx(float(exact_square))
    assert float(found.differences(np.array([value]))[0]) == pytest.approx(
        float(Fraction(value) * found.factor), rel=1e-15
    )


def test_what_is_no_number_stays_and_extremes_do_not_overflow_on_the_way():
    """Five times the largest double is none, five ninths of it is."""
    largest = np.finfo(np.float64).max
    given_values = np.array([np.nan, np.inf, -np.inf, largest])

    made = conversion("degF", "degC", "t").values(given_values)

    assert np.isnan(made[0])
    assert made[1:3].tolist() == [np.inf, -np.inf]
    assert made[3] == pytest.approx(largest / 9 * 5)
    whole = np.array([2**63 - 1, -(2**63)])
    assert conversion("mm", "m", "t").values(whole).tolist() == [2**63 / 1000, -(2**63) / 1000]


def test_a_text_of_any_kind_is_read_or_not():
    """What people write into a catalog never fails."""

    @given(st.text(max_size=20) | st.text("m3²/·*( )hk-^1W°C", max_size=12))
    def read(text):
        assert is_known(text) in (True, False)

    read()


def test_the_library_is_loaded_by_the_first_conversion_alone():
    """Servers that convert nothing start without it."""
    script = """
import sys
import query.engine
from query.eng_units import conversion, is_known
assert is_known('kWh') and not is_known('m/') and 'pint' not in sys.modules
conversion('kWh', 'MJ', 't')
assert 'pint' in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_every_aggregate_says_what_its_result_is():
    """One without a measure would be answered in a wrong unit."""
    arguments = {"Percentile": "95"}
    named = [*AGGREGATES, *(f"{name}({arguments.get(name, 'x')})" for name in FAMILIES)]

    assert {
        name for name in named if not isinstance(aggregate_named(name).measure, Measure)
    } == set()
    assert {n for n, a in AGGREGATES.items() if not a.numeric and a.measure is Measure.VALUE} == {
        "Interpolative", "Start", "End", "StartBound", "EndBound",
    }  # fmt: skip
