"""What kind of thing each part of a filter is: a number, a text, true or false, a condition."""

from collections.abc import Mapping
from typing import Literal

from query.columns import NUMERIC
from query.expression.tokens import refuse
from query.expression.tree import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    Joined,
    Negative,
    Node,
    Not,
    Number,
    TagValue,
    Text,
    Truth,
    inner,
)
from storage_engine.sample import ValueType

Kind = Literal["number", "text", "bytes", "truth", "condition", "any"]
_WHAT = "apply the filter"
_SAID: Mapping[str, str] = {
    "number": "a number",
    "text": "a text",
    "bytes": "bytes",
    "truth": "true or false",
    "condition": "a condition",
    "any": "a tag",
}
_NOBODY: Mapping[str, ValueType] = {}


def check(tree: Node, types: Mapping[str, ValueType] = _NOBODY) -> None:
    """Refuse what makes no sense: numbers against texts, conditions in sums, sums as conditions.

    Parameters
    ----------
    tree : Node
    types : mapping of str to ValueType
        Of the tags that are known; others may be of any type.

    Raises
    ------
    BadRequest
        With the character of the part.
    """
    _condition(tree, types)


def kind_of(node: Node, types: Mapping[str, ValueType] = _NOBODY) -> Kind:
    """Kind of a node; of a tag whose type is not known, any."""
    match node:
        case TagValue(name):
            type_ = types.get(name)
            if type_ is None:
                return "any"
            if type_ in NUMERIC:
                return "truth" if type_ == ValueType.BOOL else "number"
            return "bytes" if type_ == ValueType.BYTES else "text"
        case Number() | Negative() | Arithmetic() | Call():
            return "number"
        case Text():
            return "text"
        case Truth():
            return "truth"
        case _:
            return "condition"


def _condition(node: Node, types: Mapping[str, ValueType]) -> None:
    kind = kind_of(node, types)
    if kind not in ("condition", "truth", "any"):
        refuse(_told(node, kind), "a condition: a comparison, or a boolean tag", node.at, _WHAT)
    match node:
        case Joined(_, operands):
            for one in operands:
                _condition(one, types)
        case Not(operand):
            _condition(operand, types)
        case Compare(sign):
            _compared(node, types, ordered=sign not in ("=", "!="))
        case Between():
            _compared(node, types, ordered=True)
        case Among():
            _compared(node, types, ordered=False)


def _compared(node: Node, types: Mapping[str, ValueType], *, ordered: bool) -> None:
    """Values side by side: all numbers (true is 1, false is 0), or all texts."""
    values = inner(node)
    for one in values:
        _value(one, types)
    kinds: list[Kind] = [kind_of(one, types) for one in values]
    first: Kind = next((kind for kind in kinds if kind != "any"), "any")
    texts = first == "text"
    for one, kind in zip(values, kinds, strict=True):
        if kind != "any" and (kind == "text") != texts:
            refuse(_told(one, kind), f"{_SAID[first]}, as on the other side", one.at, _WHAT)
        if kind == "text" and ordered:
            want = "a number: texts are only compared by =, != and in"
            refuse(_told(one, kind), want, one.at, _WHAT)


def _value(node: Node, types: Mapping[str, ValueType]) -> None:
    kind = kind_of(node, types)
    if kind in ("condition", "bytes"):
        refuse(_told(node, kind), "a value: a tag, a number, a text", node.at, _WHAT)
    if isinstance(node, (Negative, Arithmetic, Call)):
        for one in inner(node):
            _value(one, types)
            kind = kind_of(one, types)
            if kind not in ("number", "truth", "any") or isinstance(one, Truth):
                refuse(_told(one, kind), "a number", one.at, _WHAT)


def _told(node: Node, kind: Kind) -> str:
    if isinstance(node, TagValue) and kind != "any":
        return f"{_SAID[kind]}, tag {node.name!r}"
    return _SAID[kind]
