"""Spellings of units of measure as plants write them, and how a text is read as a product of them.

What is no word here is left to the library's full names: short words mean other things to physics
than to plants (``pcs`` would be a parsec, ``pH`` a picohenry).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_PREFIXES = {
    "": "", "T": "tera", "G": "giga", "M": "mega", "k": "kilo", "h": "hecto", "da": "deca",
    "d": "deci", "c": "centi", "m": "milli", "µ": "micro", "u": "micro", "n": "nano", "p": "pico",
}  # fmt: skip
# Word -> name, and the prefixes that plants put before it.
_PREFIXED = {
    "m": ("meter", "k d c m µ u n"),
    "g": ("gram", "k m µ u n"),
    "s": ("second", "m µ u n"),
    "A": ("ampere", "k m µ u n p"),
    "K": ("kelvin", "m"),
    "mol": ("mole", "k m µ u"),
    "l": ("liter", "h d c m µ u"),
    "L": ("liter", "h d c m µ u"),
    "Hz": ("hertz", "T G M k m"),
    "N": ("newton", "M k da m"),
    "Pa": ("pascal", "G M k h m"),
    "bar": ("bar", "m µ u"),
    "J": ("joule", "T G M k m"),
    "cal": ("calorie", "G M k"),
    "W": ("watt", "T G M k m µ u n"),
    "V": ("volt", "M k m µ u n"),
    "VA": ("apparent_watt", "G M k m"),
    "var": ("reactive_watt", "G M k m"),
    "VAr": ("reactive_watt", "G M k m"),
    "VAR": ("reactive_watt", "G M k m"),
    "C": ("coulomb", "k m µ u n p"),
    "F": ("farad", "m µ u n p"),
    "H": ("henry", "m µ u n"),
    "Ω": ("ohm", "G M k m µ u"),
    "Ohm": ("ohm", "G M k m µ u"),
    "ohm": ("ohm", "G M k m µ u"),
    "S": ("siemens", "k m µ u n"),
    "T": ("tesla", "m µ u n"),
    "Wb": ("weber", "m"),
    "lm": ("lumen", "k"),
    "lx": ("lux", "k"),
    "cd": ("candela", "m"),
    "eV": ("electron_volt", "G M k m"),
    "t": ("metric_ton", "M k"),
    "Bq": ("becquerel", "G M k"),
    "Gy": ("gray", "m µ u"),
    "Sv": ("sievert", "m µ u n"),
    "rad": ("radian", "m µ u"),
    "tex": ("tex", "k d"),
    "bit": ("bit", "T G M k"),
    "B": ("byte", "T G M k"),
    "byte": ("byte", "T G M k"),
}
# Energies and charges whose hour stands behind the word without a sign between them.
_WITH_HOUR = ("W", "VA", "var", "VAr", "VAR", "A")
_PLAIN = {
    "°C": "degree_Celsius", "degC": "degree_Celsius", "℃": "degree_Celsius",
    "deg C": "degree_Celsius", "Cel": "degree_Celsius", "celsius": "degree_Celsius",
    "Celsius": "degree_Celsius",
    "°F": "degree_Fahrenheit", "degF": "degree_Fahrenheit", "℉": "degree_Fahrenheit",
    "deg F": "degree_Fahrenheit", "°K": "kelvin", "degK": "kelvin",
    "min": "minute", "h": "hour", "hr": "hour", "d": "day", "sec": "second",
    "wk": "week",
    "in": "inch", "ft": "foot", "yd": "yard", "ha": "hectare",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "kgf": "kilogram_force", "kp": "kilogram_force",
    "lbf": "pound_force", "psi": "pound_force_per_square_inch",
    "psia": "pound_force_per_square_inch", "psig": "gauge_psi", "bara": "bar", "barg": "gauge_bar",
    "mbarg": "milligauge_bar", "kPag": "gauge_kilopascal", "atm": "standard_atmosphere",
    "Torr": "torr", "mmHg": "millimeter_Hg", "inHg": "inch_Hg", "mmH2O": "millimeter_H2O",
    "cmH2O": "centimeter_H2O", "inH2O": "inch_H2O", "mmWS": "millimeter_H2O",
    "BTU": "british_thermal_unit", "Btu": "british_thermal_unit", "hp": "horsepower",
    "PS": "metric_horsepower", "gal": "gallon", "mph": "mile_per_hour", "kn": "knot",
    "%": "percent", "‰": "permille", "ppm": "ppm", "ppb": "ppb",
    "°": "degree", "deg": "degree", "rev": "turn", "U": "turn",
    "Nm³": "normal_cubic_meter", "Nm3": "normal_cubic_meter",
}  # fmt: skip
# Whole texts: what is no product, and codes of UNECE Recommendation 20 that OPC UA servers send.
_WHOLE = {
    "rpm": "rev/min", "RPM": "rev/min", "r/min": "rev/min", "rps": "rev/s", "Nm": "N*m",
    "kNm": "kN*m", "gpm": "gal/min", "cfm": "ft3/min", "kph": "km/h", "KWH": "kWh", "MWH": "MWh",
    "WHR": "Wh", "KWT": "kW", "WTT": "W", "MAW": "MW", "KVA": "kVA", "D46": "VA", "KVR": "kvar",
    "D44": "var", "CEL": "°C", "FAH": "°F", "KEL": "K", "BAR": "bar", "MBR": "mbar", "PAL": "Pa",
    "KPA": "kPa", "MPA": "MPa", "HTZ": "Hz", "KHZ": "kHz", "VLT": "V", "2Z": "mV", "AMP": "A",
    "4K": "mA", "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "MTR": "m", "MMT": "mm",
    "CMT": "cm", "KMT": "km", "MTQ": "m3", "MQH": "m3/h", "MQS": "m3/s", "LTR": "l", "MLT": "ml",
    "L2": "l/min", "E32": "l/h", "KGM": "kg", "GRM": "g", "TNE": "t", "E93": "kg/h", "MTS": "m/s",
    "KMH": "km/h", "NEW": "N", "NU": "N*m", "JOU": "J", "KJO": "kJ", "OHM": "Ω", "P1": "%",
    "59": "ppm", "C62": "1", "C94": "1/min", "C97": "1/s",
}  # fmt: skip
# Signs that look the same and are two in Unicode: micro and mu, ohm and omega.
_SAME = {0x3BC: 0xB5, 0x2126: 0x3A9}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[*·⋅×/()])|(?P<word>[^\s\d*·⋅×/()^⁰¹²³⁴⁵⁶⁷⁸⁹⁻-]+|1(?![\d^]))"
    r"(?P<power>(?:\^|\*\*)?-?\d|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)?)"
)


@dataclass(frozen=True, slots=True)
class Factors:
    """A unit as a product: names with their powers, each name once, none to the power of 0."""

    powers: tuple[tuple[str, int], ...]
    strange: tuple[str, ...] = ()  # names that are no words of the tables

    def without(self, name: str) -> "Factors":
        """Give the product without one name."""
        return Factors(tuple(one for one in self.powers if one[0] != name), self.strange)

    def power(self, name: str) -> int:
        """Power of a name; 0 where it is not in the product."""
        return dict(self.powers).get(name, 0)


def _words() -> dict[str, str]:
    found = dict(_PLAIN)
    for word, (name, prefixes) in _PREFIXED.items():
        for prefix in ("", *prefixes.split()):
            found.setdefault(prefix + word, _PREFIXES[prefix] + name)
    return found


WORDS = _words()
_HOURS = {
    f"{prefix}{word}h": _PREFIXES[prefix] + _PREFIXED[word][0]
    for word in _WITH_HOUR
    for prefix in ("", *_PREFIXED[word][1].split())
}


@lru_cache(maxsize=4096)
def factors_of(text: str) -> Factors | None:
    """Read a unit as a product of words; None where it is none.

    ``a/b/c`` is ``a/(b*c)``; a product behind a stroke without parentheses is ambiguous and none.
    """
    text = text.strip().translate(_SAME)
    text = _WHOLE.get(text, text)
    if text in _PLAIN:
        return Factors(((_PLAIN[text], 1),))
    reader = _Reader(text)
    powers = reader.product() if text else None
    if powers is None or reader.at < len(text):
        return None
    kept = tuple((name, power) for name, power in powers.items() if power)
    return Factors(kept, tuple(reader.strange))


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self.strange: list[str] = []

    def product(self, *, inside: bool = False) -> dict[str, int] | None:
        """Factors up to the end, or the parenthesis that closes; None where they are none."""
        powers: dict[str, int] = {}
        divided, wants, sign = False, True, 1
        while self.at < len(self._text):
            found = _TOKEN.match(self._text, self.at)
            if found is None:
                return None
            self.at = found.end()
            mark = found["sign"]
            if mark == ")":
                return powers if inside and not wants else None
            if mark is not None and mark != "(":
                if wants or (divided and mark != "/"):
                    return None
                divided, wants, sign = divided or mark == "/", True, -1 if mark == "/" else 1
                continue
            if divided and not wants:  # a space is a product
                return None
            part = self.product(inside=True) if mark == "(" else self._factor(found)
            if part is None:
                return None
            for name, power in part.items():
                powers[name] = powers.get(name, 0) + sign * power
            wants, sign = False, 1
        return None if inside or wants else powers

    def _factor(self, found: re.Match[str]) -> dict[str, int] | None:
        word, told = found["word"], found["power"] or "1"
        digits = told.translate(_RAISED).lstrip("^*")
        if re.fullmatch(r"-?\d", digits) is None:
            return None
        power = int(digits)
        if word == "1":
            return {} if found["power"] is None else None
        whole = word + told
        if found["power"] and whole in WORDS:  # as Nm³, which is no cube of a torque
            return {WORDS[whole]: 1}
        if word in _HOURS:
            return {_HOURS[word]: power, "hour": power}
        if word not in WORDS:
            self.strange.append(word)
        return {WORDS.get(word, word): power}
