"""What the result of an aggregate is of the values: how it goes into another unit of measure."""

from enum import Enum


class Measure(Enum):
    """What a result is.

    Attributes
    ----------
    VALUE
        A value, or a mean of values: converted as values are, offset and all.
    DIFFERENCE
        Of two values, a deviation, a rise: by the factor alone.
    SQUARE
        Of differences: by the factor squared.
    VALUE_TIME
        Value times seconds: by the factor; a zero that moves has no answer.
    INTEGRAL
        The same in a unit of its own, ``query/aggregates/integrals.py``.
    RATE
        Difference per second, in the unit per second.
    OTHER
        Counts, times, shares, status codes, values of another tag: never converted.
    """

    VALUE = "value"
    DIFFERENCE = "difference"
    SQUARE = "square"
    VALUE_TIME = "value times seconds"
    INTEGRAL = "integral"
    RATE = "rate"
    OTHER = "other"


VALUE = Measure.VALUE
DIFFERENCE = Measure.DIFFERENCE
SQUARE = Measure.SQUARE
VALUE_TIME = Measure.VALUE_TIME
INTEGRAL = Measure.INTEGRAL
RATE = Measure.RATE
OTHER = Measure.OTHER
