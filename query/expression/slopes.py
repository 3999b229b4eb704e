"""Which parts of a filter are lines between samples; what would be none is refused."""

from collections.abc import Mapping

from query.columns import NUMERIC
from query.expression.tokens import refuse
from query.expression.tree import (
    Arithmetic,
    Node,
    TagValue,
    inner,
)
from query.ports import Tag
from storage_engine.sample import ValueType

_WANT = "a line between samples: a number or a stepped tag on one side"


def is_sloped(tag: Tag) -> bool:
    """Whether a line joins the samples of a tag."""
    return not tag.stepped and tag.type in NUMERIC and tag.type != ValueType.BOOL


def check_lines(node: Node, tags: Mapping[str, Tag]) -> bool:
    """Whether sloped tags have a say in a node; else its values are constant between samples.

    Parameters
    ----------
    node : Node
        Of a checked filter.
    tags : mapping of str to Tag
        Every tag of the filter by its name there.

    Raises
    ------
    BadRequest
        For a product of two lines and a quotient by one, with the character.
    """
    if isinstance(node, TagValue):
        return is_sloped(tags[node.name])
    sloped = [check_lines(one, tags) for one in inner(node)]
    if isinstance(node, Arithmetic):
        if node.sign == "*" and all(sloped):
            refuse("a product of two sloped values", _WANT, node.at, "apply the filter")
        if node.sign == "/" and sloped[1]:
            refuse("a division by a sloped value", _WANT, node.at, "apply the filter")
    return any(sloped)
