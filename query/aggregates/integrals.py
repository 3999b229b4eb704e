"""Units of integrals and of rates, from the unit of what is integrated or differs."""

from dataclasses import dataclass

_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3_600.0, "hr": 3_600.0, "d": 86_400.0}
_POWERS = frozenset({"W", "VA", "var", "VAr", "VAR", "A"})
_PREFIXES = ("", "m", "k", "M", "G")


@dataclass(frozen=True, slots=True)
class IntegralUnit:
    """Unit of an integral over time, and what one unit times one second is of it."""

    eng_unit: str
    factor: float


def integral_of(eng_unit: str) -> IntegralUnit:
    """Unit that people use for the integral of a value over time.

    A unit per time gives the unit (``m³/h``: ``m³``), one of power or current its hours (``kW``:
    ``kWh``), any other hours of itself (``bar``: ``bar·h``); none gives hours.
    """
    amount, slash, time = eng_unit.rpartition("/")
    if slash and amount and time.strip() in _SECONDS:
        return IntegralUnit(amount.strip(), 1 / _SECONDS[time.strip()])
    hours = 1 / _SECONDS["h"]
    if any(eng_unit == prefix + power for prefix in _PREFIXES for power in _POWERS):
        return IntegralUnit(f"{eng_unit}h", hours)
    return IntegralUnit(f"{eng_unit}·h" if eng_unit else "h", hours)


def per_second(eng_unit: str) -> str:
    """Unit of a change per second."""
    return f"{eng_unit or '1'}/s"
