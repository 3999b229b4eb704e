"""When a filter is true, over one stretch of time: whole columns of pieces, node by node."""

from collections.abc import Mapping

import numpy as np

from query.expression.feed import Stretch
from query.expression.kinds import kind_of
from query.expression.pieces import (
    Int8Array,
    Lines,
    Texts,
    Truths,
    meeting,
    on_same_lines,
    together,
)
from query.expression.tree import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    ComparisonSign,
    Is,
    Joined,
    Negative,
    Node,
    Not,
    Number,
    TagValue,
    Text,
    Truth,
)
from storage_engine.sample import AnyArray, BoolArray, ValueType

_SEVERITY = {"good": 0, "uncertain": 1, "bad": 2}
_RECKONED = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


class Evaluation:
    """A checked filter over [low, high).

    Parameters
    ----------
    types : mapping of str to ValueType
        Of every tag.
    stretches : mapping of str to Stretch
        What each tag is.
    window : tuple of int
        Start and end.
    """

    def __init__(
        self,
        types: Mapping[str, ValueType],
        stretches: Mapping[str, Stretch],
        window: tuple[int, int],
    ) -> None:
        self._types, self._stretches = types, stretches
        self._start, self._behind = np.array([window[0]], np.int64), window[1]

    def truth(self, node: Node) -> Truths:
        """When a condition is true."""
        match node:
            case Joined(word, operands):
                fold = np.minimum if word == "and" else np.maximum
                return _folded(fold, [self.truth(one) for one in operands])
            case Not(operand):
                found = self.truth(operand)
                return Truths(found.start_ns, found.behind_ns, -found.state)
            case Compare(sign, left, right):
                return self._compared(sign, left, right)
            case Between(operand, low, high):
                bounds = [self._compared(">=", operand, low), self._compared("<=", operand, high)]
                return _folded(np.minimum, bounds)
            case Among(operand, choices):
                equal = [self._compared("=", operand, choice) for choice in choices]
                return _folded(np.maximum, equal)
            case Is(tag, "null"):
                return self._stretches[tag.name].null().joined()
            case Is(tag, state):
                return self._stretches[tag.name].quality(_SEVERITY[state]).joined()
            case _:
                number = self._number(node)
                return _told(number, np.where(number.first != 0, 1, -1), number.known)

    def _compared(self, operator: ComparisonSign, left: Node, right: Node) -> Truths:
        if kind_of(left, self._types) == "text":
            a, b = together(self._text(left), self._text(right))
            # Only what is known is compared: a null has no text.
            known = a.known & b.known
            differs = np.ones(len(known), np.int8)
            differs[known] = a.value[known] != b.value[known]
            return _told(a, _judged(operator, differs), known)
        one, other, sign = meeting(self._number(left), self._number(right))
        return _told(one, _judged(operator, sign), one.known & other.known)

    def _text(self, node: Node) -> Texts:
        if isinstance(node, TagValue):
            return self._stretches[node.name].texts()
        assert isinstance(node, Text), "checked"
        values = np.array([node.value], np.object_)
        return Texts(self._start, self._behind, np.ones(1, np.bool_), values)

    def _number(self, node: Node) -> Lines:
        match node:
            case Number(value):
                return self._flat(value)
            case Negative(Number(value)):
                return self._flat(-value)
            case Truth(value):
                return self._flat(int(value))
            case TagValue(name):
                return self._stretches[name].lines()
            case Negative(operand):
                return _mapped(np.negative, self._number(operand))
            case Arithmetic(sign, left, right):
                return _reckoned(_RECKONED[sign], self._number(left), self._number(right))
            case Call(function, operands):
                found = [self._number(one) for one in operands]
                if function == "abs":
                    found.append(_mapped(np.negative, found[0]))
                best = found[0]
                for one in found[1:]:
                    best = _chosen(best, one, larger=function != "min")
                return best
            case _:
                raise AssertionError(node)

    def _flat(self, value: float) -> Lines:
        type_: type = np.float64
        if isinstance(value, int) and -(2**63) <= value < 2**64:
            type_ = np.int64 if value < 2**63 else np.uint64
        end = np.array([self._behind], np.int64)
        known = np.ones(1, np.bool_)
        number = (
            np.array([value]).astype(type_) if type_ is np.float64 else np.array([value], type_)
        )
        return Lines(self._start, self._behind, known, self._start, end, number, None)


def _folded(fold: np.ufunc, found: list[Truths]) -> Truths:
    found = together(*found)
    state = fold.reduce([one.state for one in found])
    return Truths(found[0].start_ns, found[0].behind_ns, state).joined()


def _told(pieces: Lines | Texts, state: AnyArray, known: BoolArray) -> Truths:
    states = np.where(known, state, 0).astype(np.int8)
    return Truths(pieces.start_ns, pieces.behind_ns, states).joined()


def _judged(operator: ComparisonSign, sign: Int8Array) -> AnyArray:
    """Truth of a comparison by the sign of the difference."""
    true = {
        "=": sign == 0,
        "!=": sign != 0,
        "<": sign < 0,
        "<=": sign <= 0,
        ">": sign > 0,
        ">=": sign >= 0,
    }[operator]
    return np.where(true, 1, -1)


def _reached(shape: Lines, known: BoolArray, first: AnyArray, last: AnyArray | None) -> Lines:
    """Lines of computed values; what is not finite is not known."""
    known = known & np.isfinite(first)
    if last is not None:
        known &= np.isfinite(last)
    return Lines(shape.start_ns, shape.behind_ns, known, shape.from_ns, shape.until_ns, first, last)


def _mapped(compute: np.ufunc, line: Lines) -> Lines:
    with np.errstate(all="ignore"):
        first = compute(line.first.astype(np.float64))
        last = None if line.last is None else compute(line.last.astype(np.float64))
    return _reached(line, line.known, first, last)


def _reckoned(compute: np.ufunc, left: Lines, right: Lines) -> Lines:
    left, right = on_same_lines(left, right)
    sloped = left.last is not None or right.last is not None
    firsts = [one.first.astype(np.float64) for one in (left, right)]
    lasts = [
        (one.first if one.last is None else one.last).astype(np.float64) for one in (left, right)
    ]
    with np.errstate(all="ignore"):
        first = compute(*firsts)
        last = compute(*lasts) if sloped else None
    return _reached(left, left.known & right.known, first, last)


def _chosen(left: Lines, right: Lines, *, larger: bool) -> Lines:
    """The larger or smaller of two at each time, cut where they cross."""
    left, right, sign = meeting(left, right)
    own = sign > 0 if larger else sign < 0
    known = left.known & right.known
    if left.first.dtype == right.first.dtype and left.last is None and right.last is None:
        return _reached(left, known, np.where(own, left.first, right.first), None)
    firsts = [one.first.astype(np.float64) for one in (left, right)]
    if left.last is None and right.last is None:
        return _reached(left, known, np.where(own, *firsts), None)
    lasts = [
        (one.first if one.last is None else one.last).astype(np.float64) for one in (left, right)
    ]
    return _reached(left, known, np.where(own, *firsts), np.where(own, *lasts))
