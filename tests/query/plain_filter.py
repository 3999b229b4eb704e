"""The rules of docs/query.md for filters, nanosecond by nanosecond: slow and plain."""

from fractions import Fraction
from itertools import groupby

from query.expression.tree import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    Is,
    Joined,
    Negative,
    Not,
    Number,
    TagValue,
    Text,
    Truth,
)
from storage_engine.sample import severity

SIGNS = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
LEVELS = ("good", "uncertain", "bad")


class PlainTag:
    """A tag at any nanosecond: rows of (time, value, quality), the last one known until ``end``."""

    def __init__(self, rows, *, stepped, uncertain_is_bad, end=None, hold_max=None):
        self.rows, self.stepped = sorted(rows), stepped
        self.worst = 0 if uncertain_is_bad else 1
        self.end = end if end is not None else (self.rows[-1][0] + 1 if self.rows else 0)
        self.hold_max = hold_max

    def level(self, row):
        return 2 if row[1] is None else min(int(severity(row[2])), 2)

    def around(self, t):
        """The sample at or before, unless the value is not known any more, and the next one."""
        old = [row for row in self.rows if row[0] <= t]
        new = [row for row in self.rows if row[0] > t]
        if not old or t >= max(self.end, self.rows[-1][0] + 1):
            return None, None
        far = new[0][0] - old[-1][0] if new else None
        if self.hold_max is not None and (far is None or far > self.hold_max):
            # The value is told for so long, and nobody draws a line over what is not known.
            return (old[-1] if t - old[-1][0] < self.hold_max else None), None
        return old[-1], (new[0] if new else None)

    def value(self, t):
        row, following = self.around(t)
        if row is None or self.level(row) > self.worst:
            return None
        if isinstance(row[1], str):
            return row[1]
        value = Fraction(row[1])
        if self.stepped or following is None or self.level(following) > self.worst:
            return value
        share = Fraction(t - row[0], following[0] - row[0])
        return value + (Fraction(following[1]) - value) * share

    def quality(self, t):
        row, _ = self.around(t)
        return None if row is None else LEVELS[self.level(row)]


def value(node, tags, t):
    """Fraction, text, or None where it is not known."""
    match node:
        case TagValue(name):
            return tags[name].value(t)
        case Text(said):
            return said
        case Number(number) | Truth(number):
            return Fraction(number)
        case Negative(operand):
            found = value(operand, tags, t)
            return None if found is None else -found
        case Arithmetic(sign, left, right):
            a, b = value(left, tags, t), value(right, tags, t)
            if a is None or b is None or (sign == "/" and b == 0):
                return None
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[sign]
        case Call(function, operands):
            found = [value(one, tags, t) for one in operands]
            if None in found:
                return None
            return abs(found[0]) if function == "abs" else {"min": min, "max": max}[function](found)


def truth(node, tags, t):
    """1, -1, or 0 where it is not known."""
    match node:
        case Joined(word, operands):
            return (min if word == "and" else max)(truth(one, tags, t) for one in operands)
        case Not(operand):
            return -truth(operand, tags, t)
        case Between(operand, low, high):
            sides = Compare(">=", operand, low), Compare("<=", operand, high)
            return truth(Joined("and", sides), tags, t)
        case Among(operand, choices):
            return max(truth(Compare("=", operand, one), tags, t) for one in choices)
        case Compare(sign, left, right):
            a, b = value(left, tags, t), value(right, tags, t)
            return 0 if a is None or b is None else 1 if SIGNS[sign](a, b) else -1
        case Is(tag, "null"):
            return 1 if tags[tag.name].value(t) is None else -1
        case Is(tag, state):
            found = tags[tag.name].quality(t)
            return 0 if found is None else 1 if found == state else -1
        case _:
            found = value(node, tags, t)
            return 0 if found is None else 1 if found else -1


def spans(node, tags, start, end):
    """(start, end, state) by asking at every nanosecond."""
    found = [(t, truth(node, tags, t)) for t in range(start, end)]
    runs = [list(run) for _, run in groupby(found, key=lambda one: one[1])]
    return [(run[0][0], run[-1][0] + 1, run[0][1]) for run in runs]
