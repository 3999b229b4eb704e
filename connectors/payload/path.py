"""Looking things up in a decoded message: ``a.b[0].c``; and filling templates from a topic."""

import re
from dataclasses import dataclass

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_FIELD = re.compile(r"\{(topic(?:\[(\d+)\])?|key)\}")


class Missing:
    """Stands for what is not there; null is a value."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Path:
    """Steps into a message: names and positions. No steps is the thing itself."""

    text: str
    steps: tuple[str | int, ...]
    whole: bool  # starts at the whole message instead of the item

    @staticmethod
    def parse(text: str) -> "Path":
        """Read ``a.b[0]``; a leading ``^`` starts at the whole message.

        Raises
        ------
        ValueError
            If the text is no path.
        """
        rest = text.removeprefix("^")
        steps: list[str | int] = []
        position = 0
        while position < len(rest):
            match = _STEP.match(rest, position)
            if match is None:
                raise ValueError(f"cannot read path {text!r}: got {rest[position:]!r}, want a.b[0]")
            steps.append(match[1] if match[1] is not None else int(match[2]))
            position = match.end()
        return Path(text, tuple(steps), text.startswith("^"))

    def of(self, item: object, whole: object) -> object:
        """Find the value, or MISSING."""
        found = whole if self.whole else item
        for step in self.steps:
            if isinstance(step, str) and isinstance(found, dict):
                found = found.get(step, MISSING)
            elif isinstance(step, int) and isinstance(found, list) and step < len(found):
                found = found[step]
            else:
                return MISSING
            if found is MISSING:
                return MISSING
        return found


@dataclass(frozen=True, slots=True)
class Template:
    """Text with ``{topic}``, ``{topic[1]}`` and ``{key}`` in it."""

    text: str

    @staticmethod
    def parse(text: str) -> "Template":
        """Check the fields of a template.

        Raises
        ------
        ValueError
            If a field is not one of the three.
        """
        rest = _FIELD.sub("", text)
        if "{" in rest or "}" in rest:
            raise ValueError(
                f"cannot read template {text!r}: want {{topic[N]}}, {{topic}}, {{key}}"
            )
        return Template(text)

    def fill(self, topic: str, levels: list[str], key: str) -> str | None:
        """Fill in; None when the topic has no such level."""
        missing = False

        def field(match: re.Match[str]) -> str:
            nonlocal missing
            if match[1] == "key":
                return key
            if match[2] is None:
                return topic
            if int(match[2]) >= len(levels):
                missing = True
                return ""
            return levels[int(match[2])]

        filled = _FIELD.sub(field, self.text)
        return None if missing else filled


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter (``+`` one level, ``#`` the rest) takes a topic.

    References
    ----------
    MQTT 5.0, 4.7: wildcards at the first level do not take topics that begin with ``$``.
    """
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if levels[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in {"+", levels[position]}:
            return False
    return len(wanted) == len(levels)
