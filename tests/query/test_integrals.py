"""Integrals in the units that people use."""

import pytest

from query.aggregates.integrals import integral_of
from query.engine import Query
from query.ports import Tag
from query.request import AggregateRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import ValueType

S = 1_000_000_000


@pytest.mark.parametrize(
    ("unit", "want", "in_an_hour"),
    [
        ("kW", "kWh", 1.0),
        ("W", "Wh", 1.0),
        ("kvar", "kvarh", 1.0),
        ("A", "Ah", 1.0),
        ("m³/h", "m³", 1.0),
        ("l/min", "l", 60.0),
        ("kg/s", "kg", 3_600.0),
        ("1/min", "1", 60.0),
        ("bar", "bar·h", 1.0),
        ("m/s²", "m/s²·h", 1.0),
        ("", "h", 1.0),
    ],
)
def test_one_unit_over_one_hour(unit, want, in_an_hour):
    """Two units from the start, held for half an hour: as much as one for an hour."""
    reader = MemoryReader()
    reader.add(1, ValueType.FLOAT64, [(0, 2.0), (1_800 * S, 0.0), (3_600 * S, 0.0)])
    tag = Tag("p", (1,), ValueType.FLOAT64, stepped=True, eng_unit=unit)
    asked = AggregateRequest("p", 0, 3_600 * S, 0, ("Integral", "Total2"))

    found = Query(reader, MemoryResolver(tag), lambda: 0).aggregate(asked).columns

    assert found["Integral"].eng_unit == want == integral_of(unit).eng_unit
    assert found["Integral"].value.tolist() == pytest.approx([in_an_hour])
    assert found["Total2"].value.tolist() == [3_600.0]
