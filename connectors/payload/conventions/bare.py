"""Bare values: the whole payload is a number, a word, true or false, or a list of those."""

import re

import orjson

from connectors.payload.found import Found, Message
from connectors.payload.path import Template
from connectors.payload.values import Refused, shown
from connectors.settings import Table
from storage_engine.sample import ValueType

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TEXT_CHARACTERS_MAX = 1_000
_TYPES = {type_.name.lower(): type_ for type_ in ValueType}


class Bare:
    """One value per topic, at the time of receipt.

    Parameters
    ----------
    table : Table
        ``address`` (default ``{topic}``; ``{key}`` is the position in a list), ``type``, and
        ``words``: what a word means, such as ``{ON = true, OFF = false}``.
    """

    timed = False

    def __init__(self, table: Table) -> None:
        text = table.text("address", "{topic}")
        try:
            self._address = Template.parse(text)
        except ValueError:
            raise table.refuse("address", text, "text with {topic[N]}, {topic}, {key}") from None
        name = table.text("type", "", among=("", *_TYPES))
        self._type = _TYPES.get(name)
        words = table.table("words", {})
        self._words = dict(words.items())
        for word, meaning in self._words.items():
            if not isinstance(meaning, bool | int | float | str):
                raise words.refuse(word, meaning, "a number, true, false or text")

    def map(self, message: Message, found: Found) -> None:
        """Read the payload as one value, or as a list of them where addresses have ``{key}``."""
        value = self._value(message.text())
        many = isinstance(value, list)
        if many and "{key}" not in self._address.text:
            raise Refused("cannot map list: got no {key} in the mapping's address, want one")
        for position, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, list | dict):
                raise Refused(f"cannot read value: got {shown(each)}, want a number or a word")
            key = str(position) if many else ""
            address = self._address.fill(message.topic, message.levels, key)
            if address is None:
                raise Refused(f"cannot fill address {self._address.text!r}: topic is too short")
            meant = self._words.get(each, each) if isinstance(each, str) else each
            if isinstance(meant, str) and len(meant) > _TEXT_CHARACTERS_MAX:
                want = f"at most {_TEXT_CHARACTERS_MAX}"
                raise Refused(f"cannot read text: got {len(meant)} characters, want {want}")
            found.sample(address, message.received_ns, meant, type_=self._type)

    def _value(self, text: str) -> object:
        if not text:
            raise Refused("cannot read value: got nothing, want a number or a word")
        if text in self._words:
            return text
        if (
            self._type in {ValueType.SYMBOL, ValueType.TEXT, ValueType.BYTES}
            and text[0] not in '"['
        ):
            return text
        if _NUMBER.fullmatch(text):
            return _number(text)
        try:
            decoded: object = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        return decoded


def _number(text: str) -> int | float:
    """Integers beyond 64 bits are read as floats, as JSON readers do."""
    bare = text.removeprefix("-")
    if bare.isdigit() and len(bare) < 20:
        return int(text)
    return float(text)
