"""A filter's text read into a tree, by recursive descent with binding strengths.

::

    condition = all { "or" all }
    all       = one { "and" one }
    one       = "not" one | test
    test      = sum [ ("=" | "!=" | "<" | "<=" | ">" | ">=") sum
                    | ["not"] "between" sum "and" sum
                    | ["not"] "in" "(" sum { "," sum } ")"
                    | "is" ["not"] ("null" | "good" | "bad" | "uncertain") ]
    sum       = product { ("+" | "-") product }
    product   = unary { ("*" | "/") unary }
    unary     = "-" unary | atom
    atom      = tag | number | text | "true" | "false" | "(" condition ")"
              | "abs" "(" sum ")" | ("min" | "max") "(" sum { "," sum } ")"
"""

from typing import Any

from query.expression.kinds import check
from query.expression.tokens import Token, refuse, tokens_of
from query.expression.tree import (
    AND,
    NOT,
    OR,
    PRODUCT,
    SUM,
    TEST,
    UNARY,
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    Is,
    Joined,
    Negative,
    Node,
    Not,
    Number,
    TagValue,
    Text,
    Truth,
    inner,
    tags_of,
)

DEPTH_MAX = 64  # nodes and parentheses inside each other
TAGS_MAX = 50
_VALUE = "a tag in braces, a number, a text in quotes, true, false, a function or a parenthesis"
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_INFIX = {
    "or": OR, "and": AND, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT,
    **dict.fromkeys((*_COMPARISONS, "between", "in", "is", "not"), TEST),
}  # fmt: skip


def parse(text: str) -> Node:
    """Read a filter.

    Parameters
    ----------
    text : str
        At most ``TEXT_MAX`` characters, ``DEPTH_MAX`` deep, of ``TAGS_MAX`` tags.

    Returns
    -------
    Node
        A condition; ``parse(str(tree))`` is the same tree.

    Raises
    ------
    BadRequest
        With the character, what stands there, and what could.
    """
    reader = _Reader(tokens_of(text))
    tree = reader.node(OR)
    if reader.token.kind != "end":
        refuse(reader.token, "and, or, a comparison or the end", reader.token.at)
    names = tags_of(tree)
    if len(names) > TAGS_MAX:
        refuse(f"{len(names)} tags", f"at most {TAGS_MAX}", tree.at)
    check(tree)
    return tree


class _Reader:
    """Reads nodes from tokens, one behind the other."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._open = 0  # nodes being read
        self._heights: dict[int, int] = {}  # of the nodes made, by identity; all stay alive

    @property
    def token(self) -> Token:
        """The next one."""
        return self._tokens[self._next]

    def _taken(self) -> Token:
        token = self.token
        self._next += 1
        return token

    def _want(self, word: str) -> None:
        if not self.token.means(word):
            refuse(self.token, repr(word), self.token.at)
        self._next += 1

    def _made(self, node: Node) -> Node:
        height = 1 + max((self._heights[id(one)] for one in inner(node)), default=0)
        if height > DEPTH_MAX:
            refuse(f"more than {DEPTH_MAX} levels", f"at most {DEPTH_MAX}", node.at)
        self._heights[id(node)] = height
        return node

    def node(self, level: int) -> Node:
        """Read a node whose parts bind at least as strongly as ``level``."""
        self._open += 1
        if self._open > DEPTH_MAX + 1:
            refuse(f"more than {DEPTH_MAX} levels", f"at most {DEPTH_MAX}", self.token.at)
        left = self._first(level)
        while True:
            token = self.token
            binding = _INFIX.get(str(token.value)) if token.kind in ("word", "sign") else None
            if binding is None or binding < level:
                break
            left = self._joined(left) if binding in (OR, AND) else self._infix(left, binding)
        self._open -= 1
        return left

    def _first(self, level: int) -> Node:
        token = self.token
        if token.means("not") and level <= NOT:
            self._next += 1
            return self._made(Not(self.node(NOT), token.at))
        if token.means("-"):
            self._next += 1
            return self._made(Negative(self.node(UNARY), token.at))
        return self._atom()

    def _atom(self) -> Node:
        token = self._taken()
        value: Any = token.value
        if token.kind == "tag":
            return self._made(TagValue(value, token.at))
        if token.kind == "number":
            return self._made(Number(value, token.at))
        if token.kind == "text":
            return self._made(Text(value, token.at))
        if token.means("true", "false"):
            return self._made(Truth(value == "true", token.at))
        if token.means("abs", "min", "max"):
            operands = self._list()
            if value == "abs" and len(operands) > 1:
                refuse(f"{len(operands)} numbers", "one number for abs", operands[1].at)
            return self._made(Call(value, operands, token.at))
        if not token.means("("):
            refuse(token, _VALUE, token.at)
        found = self.node(OR)
        self._want(")")
        return found

    def _list(self) -> tuple[Node, ...]:
        self._want("(")
        found = [self.node(SUM)]
        while self.token.means(","):
            self._next += 1
            found.append(self.node(SUM))
        if not self.token.means(")"):
            refuse(self.token, "',' or ')'", self.token.at)
        self._next += 1
        return tuple(found)

    def _joined(self, left: Node) -> Node:
        """All that one word joins on this level."""
        word: Any = self.token.value
        at, found = self.token.at, [left]
        while self.token.means(word):
            self._next += 1
            found.append(self.node(_INFIX[word] + 1))
        return self._made(Joined(word, tuple(found), at))

    def _infix(self, left: Node, binding: int) -> Node:
        token = self._taken()
        sign: Any = token.value
        if binding != TEST:
            return self._made(Arithmetic(sign, left, self.node(binding + 1), token.at))
        if sign in _COMPARISONS:
            return self._made(Compare(sign, left, self.node(SUM), token.at))
        if sign == "is":
            negated = self.token.means("not")
            self._next += negated
            made = self._state(left, token.at)
        else:
            negated = sign == "not"
            made = self._range(left, self._taken() if negated else token)
        return self._made(Not(made, token.at)) if negated else made

    def _state(self, tag: Node, at: int) -> Node:
        if not isinstance(tag, TagValue):
            refuse("something computed", "a tag before 'is'", tag.at)
        token = self._taken()
        state: Any = token.value
        if not token.means("null", "good", "bad", "uncertain"):
            refuse(token, "null, good, bad or uncertain", token.at)
        return self._made(Is(tag, state, at))

    def _range(self, left: Node, token: Token) -> Node:
        if token.means("between"):
            low = self.node(SUM)
            self._want("and")
            return self._made(Between(left, low, self.node(SUM), token.at))
        if not token.means("in"):
            refuse(token, "'between' or 'in'", token.at)
        return self._made(Among(left, self._list(), token.at))
