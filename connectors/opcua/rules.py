"""Browse rules of a configuration: which variables become items, and under which address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.settings import Table

_FIELDS = ("node", "path", "name", "namespace")


@dataclass(frozen=True, slots=True)
class Shape:
    """What becomes of a value that is more than a scalar.

    Attributes
    ----------
    arrays : str
        ``elements``: a series per element; ``json``: one text.
    structures : str
        ``fields``: a series per field; ``json``: one text.
    elements_max : int
        Series of one node at most; a value with more is refused whole and named.
    """

    arrays: str = "elements"
    structures: str = "fields"
    elements_max: int = 1_000


@dataclass(frozen=True, slots=True)
class BrowseRule:
    """Take variables below a node.

    Attributes
    ----------
    root : str
        Node id, or a path of browse names below Objects that begins with ``/``.
    depth : int
    namespace : str
        Uri of the variables' namespace; "" means every one but the standard one.
    include, exclude : tuple of str
        Globs over the path below the root; ``*`` stays within a name, ``**`` does not. What lies
        below an excluded node is excluded.
    types, data_types : tuple of str
        Names or node ids; subtypes count.
    properties : bool
        Take properties, too.
    address : str
        Template of the items' addresses.
    nodes_max : int
        Bound of nodes looked at.
    """

    root: str
    depth: int
    namespace: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    data_types: tuple[str, ...] = ()
    properties: bool = False
    address: str = "{node}"
    nodes_max: int = 1_000_000
    shape: Shape = Shape()


def read_shape(table: Table) -> Shape:
    """Read ``arrays``, ``structures`` and ``elements_max`` of a table."""
    return Shape(
        arrays=table.text("arrays", "elements", among=("elements", "json")),
        structures=table.text("structures", "fields", among=("fields", "json")),
        elements_max=table.integer("elements_max", 1_000, 1, 1_000_000),
    )


def read_rule(table: Table) -> BrowseRule:
    """Read one ``[[browse]]`` table.

    Raises
    ------
    ConfigError
        For a template with an unknown field, and what else is wrong.
    """
    found = BrowseRule(
        root=table.text("root", "i=85"),
        depth=table.integer("depth", 10, 1, 100),
        namespace=table.text("namespace", ""),
        include=table.texts("include"),
        exclude=table.texts("exclude"),
        types=table.texts("types"),
        data_types=table.texts("data_types"),
        properties=table.flag("properties", False),
        address=table.text("address", "{node}"),
        nodes_max=table.integer("nodes_max", 1_000_000, 1, 100_000_000),
        shape=read_shape(table),
    )
    table.done()
    used = set(re.findall(r"\{(.*?)\}", found.address))
    if not used & {"node", "path"} or used - set(_FIELDS):
        want = "a template with {node} or {path}, and with {name} and {namespace} if you like"
        raise table.refuse("address", found.address, want)
    return found


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Fill a template; texts of the server are never read as templates."""
    return re.sub(r"\{(\w+)\}", lambda match: fields[match[1]], template)


class Globs:
    """Globs over paths. The time is bounded whatever a server names its nodes."""

    def __init__(self, globs: tuple[str, ...]) -> None:
        self._globs = [(each, each.split("/")) for each in globs]

    def first(self, path: str) -> str | None:
        """First glob that matches a path."""
        names = path.split("/")
        for glob, parts in self._globs:
            if _path_fits(parts, names):
                return glob
        return None


def _path_fits(parts: list[str], names: list[str]) -> bool:
    """Whether parts match names one by one, ``**`` any number of them (at the end at least one)."""
    reached = {0}
    for place, part in enumerate(parts):
        if part == "**":
            last = place + 1 == len(parts)
            reached = set(range(min(reached) + last, len(names) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(names) and _fits(part, names[at])}
        if not reached:
            return False
    return len(names) in reached


def _fits(part: str, name: str) -> bool:
    """Whether a name fits a part with ``*`` and ``?``: back to the last star, never further."""
    at, place, star, held = 0, 0, -1, 0
    while place < len(name):
        if at < len(part) and part[at] == "*":
            star, held, at = at, place, at + 1
        elif at < len(part) and part[at] in {"?", name[place]}:
            at, place = at + 1, place + 1
        elif star >= 0:
            held += 1
            at, place = star + 1, held
        else:
            return False
    return set(part[at:]) <= {"*"}
