"""What a filter says, as a tree; ``str`` of a tree is a text that says the same.

Nodes know the character ``at`` which they stand in the text; it is no part of their meaning, so
trees of the same meaning are equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

ComparisonSign = Literal["=", "!=", "<", "<=", ">", ">="]
State = Literal["null", "good", "bad", "uncertain"]

# How strongly a node binds; one that stands in a stronger one needs parentheses.
OR, AND, NOT, TEST, SUM, PRODUCT, UNARY, ATOM = range(8)


@dataclass(frozen=True, slots=True)
class TagValue:
    """Value of a tag."""

    name: str
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "{" + self.name.replace("{", "{{").replace("}", "}}") + "}"


@dataclass(frozen=True, slots=True)
class Number:
    """A number, 0 or more; an ``int`` is exact."""

    value: int | float
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text."""

    value: str
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "'" + self.value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""

    value: bool
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus a number."""

    operand: "Node"
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"-{_inside(self.operand, UNARY)}"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers taken together."""

    sign: Literal["+", "-", "*", "/"]
    left: "Node"
    right: "Node"
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        level = SUM if self.sign in "+-" else PRODUCT
        return f"{_inside(self.left, level)} {self.sign} {_inside(self.right, level + 1)}"


@dataclass(frozen=True, slots=True)
class Call:
    """``abs`` of a number, ``min`` or ``max`` of one or more."""

    function: Literal["abs", "min", "max"]
    operands: tuple["Node", ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.function}({_listed(self.operands)})"


@dataclass(frozen=True, slots=True)
class Compare:
    """One value against another."""

    sign: ComparisonSign
    left: "Node"
    right: "Node"
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{_inside(self.left, SUM)} {self.sign} {_inside(self.right, SUM)}"


@dataclass(frozen=True, slots=True)
class Between:
    """From ``low`` to ``high``, both included."""

    operand: "Node"
    low: "Node"
    high: "Node"
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return _tested(self)


@dataclass(frozen=True, slots=True)
class Among:
    """One of the choices."""

    operand: "Node"
    choices: tuple["Node", ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return _tested(self)


@dataclass(frozen=True, slots=True)
class Is:
    """State of a tag, not its value."""

    tag: TagValue
    state: State
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return _tested(self)


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    operand: "Node"
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if isinstance(self.operand, (Between, Among, Is)):
            return _tested(self.operand, "not ")
        return f"not {_inside(self.operand, NOT)}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more conditions, all or any of them."""

    word: Literal["and", "or"]
    operands: tuple["Node", ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        level = AND if self.word == "and" else OR
        return f" {self.word} ".join(_inside(one, level + 1) for one in self.operands)


Node = (
    TagValue | Number | Text | Truth | Negative | Arithmetic | Call
    | Compare | Between | Among | Is | Not | Joined
)  # fmt: skip


def inner(node: Node) -> tuple[Node, ...]:
    """Nodes right below a node, in the order of the text."""
    match node:
        case Negative(operand) | Not(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Compare(_, left, right):
            return left, right
        case Call(_, operands) | Joined(_, operands):
            return operands
        case Between(operand, low, high):
            return operand, low, high
        case Among(operand, choices):
            return operand, *choices
        case Is(tag):
            return (tag,)
        case _:
            return ()


def every(node: Node) -> Iterator[Node]:
    """All nodes of a tree, each behind those below it."""
    for one in inner(node):
        yield from every(one)
    yield node


def tags_of(node: Node) -> tuple[str, ...]:
    """Names of the tags of a tree, each once, in the order of the text."""
    return tuple(dict.fromkeys(one.name for one in every(node) if isinstance(one, TagValue)))


def _binding(node: Node) -> int:
    match node:
        case Joined(word):
            return AND if word == "and" else OR
        case Not(operand):
            return TEST if isinstance(operand, (Between, Among, Is)) else NOT
        case Compare() | Between() | Among() | Is():
            return TEST
        case Arithmetic(sign):
            return SUM if sign in "+-" else PRODUCT
        case Negative():
            return UNARY
        case _:
            return ATOM


def _inside(node: Node, level: int) -> str:
    """Text of a node in a place that wants it to bind as strongly as this."""
    return str(node) if _binding(node) >= level else f"({node})"


def _tested(node: Between | Among | Is, negation: str = "") -> str:
    match node:
        case Between(operand, low, high):
            edges = f"{_inside(low, SUM)} and {_inside(high, SUM)}"
            return f"{_inside(operand, SUM)} {negation}between {edges}"
        case Among(operand, choices):
            return f"{_inside(operand, SUM)} {negation}in ({_listed(choices)})"
        case Is(tag, state):
            return f"{tag} is {negation}{state}"


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(_inside(one, SUM) for one in nodes)
