"""A filter's text cut into tokens."""

from dataclasses import dataclass
from typing import Literal, NoReturn

from query.errors import BadRequest

WHAT = "read the filter"
TEXT_MAX = 4_000  # characters

Kind = Literal["tag", "number", "text", "word", "sign", "end"]
WORDS = (
    *("and", "or", "not", "between", "in", "is", "null", "good", "bad", "uncertain"),
    *("true", "false", "abs", "min", "max"),
)
_SIGNS = ("!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/")
_GOT_MAX = 40  # characters of a token that an error repeats


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a filter.

    Attributes
    ----------
    kind : {"tag", "number", "text", "word", "sign", "end"}
    value : str, int or float
        Name of the tag, number, text, the word in small letters, or the sign.
    at : int
        Its first character, from 0.
    """

    kind: Kind
    value: str | int | float
    at: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        shown = str(self.value)
        shown = shown if len(shown) <= _GOT_MAX else f"{shown[:_GOT_MAX]}…"
        return f"the tag {{{shown}}}" if self.kind == "tag" else f"the {self.kind} {shown!r}"

    def means(self, *values: str) -> bool:
        """Whether it is one of these words or signs."""
        return self.kind in ("word", "sign") and self.value in values


def refuse(got: object, want: str, at: int, what: str = WHAT) -> NoReturn:
    """Refuse a filter at one of its characters.

    Raises
    ------
    BadRequest
        Always.
    """
    raise BadRequest(what, got=got, want=want, where=f"where, character {at}")


def tokens_of(text: str) -> list[Token]:
    """Cut a text into tokens; the last is the end.

    Raises
    ------
    BadRequest
        For a text of more than ``TEXT_MAX`` characters, and for characters that begin or end
        nothing.
    """
    if len(text) > TEXT_MAX:
        refuse(f"{len(text)} characters", f"at most {TEXT_MAX}", TEXT_MAX)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token(text, at)
        tokens.append(token)
    tokens.append(Token("end", "", len(text)))
    return tokens


def _token(text: str, at: int) -> tuple[Token, int]:
    """Read the token at a character, and find where it ends."""
    character = text[at]
    if character == "{":
        return _tag(text, at)
    if character == "'":
        return _text(text, at)
    if character in "0123456789":
        return _number(text, at)
    if character.isascii() and character.isalpha():
        end = at
        while end < len(text) and text[end].isascii() and (text[end].isalnum() or text[end] == "_"):
            end += 1
        word = text[at:end]
        return Token("word", word.lower() if word.lower() in WORDS else word, at), end
    sign = next((one for one in _SIGNS if text.startswith(one, at)), "")
    if not sign:
        refuse(repr(character), "a tag, a number, a text, a word or a sign", at)
    return Token("sign", sign, at), at + len(sign)


def _tag(text: str, begin: int) -> tuple[Token, int]:
    """``{name}``, with braces of the name doubled."""
    name, at = [], begin + 1
    while at < len(text):
        if text[at] in "{}":
            if not text.startswith(text[at] * 2, at):
                break
            at += 1
        name.append(text[at])
        at += 1
    if not text.startswith("}", at):
        got = "the end" if at >= len(text) else repr(text[at])
        refuse(got, "a closing brace; braces of a name are doubled", at)
    if not name:
        refuse("'{}'", "the name of a tag", begin)
    return Token("tag", "".join(name), begin), at + 1


def _text(text: str, begin: int) -> tuple[Token, int]:
    """``'text'``, with quotes of the text doubled."""
    said, at = [], begin + 1
    while at < len(text):
        if text[at] == "'":
            if not text.startswith("''", at):
                break
            at += 1
        said.append(text[at])
        at += 1
    if at >= len(text):
        refuse("the end", "a closing quote; quotes of a text are doubled", at)
    return Token("text", "".join(said), begin), at + 1


def _number(text: str, begin: int) -> tuple[Token, int]:
    """``12``, ``12.5``, ``1e3``: whole without a point and an exponent, else a double."""
    at = _behind_digits(text, begin)
    whole = True
    if text.startswith(".", at):
        end = _behind_digits(text, at + 1)
        if end == at + 1:
            refuse("a point without digits behind it", "a digit", end)
        whole, at = False, end
    if text[at : at + 1] in ("e", "E"):
        digits = at + 1 + (text[at + 1 : at + 2] in ("+", "-"))
        end = _behind_digits(text, digits)
        if end == digits:
            refuse("an exponent without digits", "a digit", end)
        whole, at = False, end
    said = text[begin:at]
    value = float(said)
    if value == float("inf"):
        refuse(f"a number of {len(said)} characters", "a number that a double can hold", begin)
    return Token("number", int(said) if whole else value, begin), at


def _behind_digits(text: str, at: int) -> int:
    while at < len(text) and text[at] in "0123456789":
        at += 1
    return at
