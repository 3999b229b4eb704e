"""Discovery: from browse rules to items with all that the server says of them.

The server is not trusted to be small, to be a tree, or to be there again tomorrow: what is looked
at is bounded per rule, every node once, and what cannot be taken is named with the reason.
"""

from dataclasses import dataclass, field
from typing import Any

from asyncua import ua as asyncua_ua

from connectors.opcua.address_space import AddressSpace
from connectors.opcua.rules import BrowseRule, Globs, fill

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

PATH_CHARACTERS_MAX = 2_000
_DEPTH_MAX = 32  # of supertypes
_OBJECTS_AND_VARIABLES = ua.NodeClass.Object | ua.NodeClass.Variable
_OBJECTS_FOLDER = "i=85"
_HAS_PROPERTY = ua.NodeId(ua.ObjectIds.HasProperty)


@dataclass(slots=True)
class Found:
    """A variable that a rule has seen.

    Attributes
    ----------
    address : str
        What its samples are called, by the rule's template.
    node : str
        Node id with its namespace's uri.
    path : str
        Browse names below the rule's root.
    type : str
        Its type definition, a node id.
    rule : int
        Place of the rule; -1 for a node of ``nodes``.
    left_out : str
        Why it is not taken; empty when it is.
    """

    address: str
    node: str
    path: str = ""
    name: str = ""
    type: str = ""
    rule: int = -1
    left_out: str = ""


@dataclass(slots=True)
class Survey:
    """What a look at the server gave."""

    found: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def taken(self) -> list[Found]:
        """Variables that become items."""
        return [each for each in self.found if not each.left_out]

    def aliases(self) -> dict[str, str]:
        """Addresses that are not node ids: address -> node id."""
        return {each.address: each.node for each in self.taken if each.address != each.node}


class Discovery:
    """One look at a server.

    Parameters
    ----------
    nodes : AddressSpace
    """

    def __init__(self, nodes: AddressSpace) -> None:
        self._nodes = nodes
        self._parents: dict[str, str | None] = {}
        self._names: dict[str, str] = {}

    async def survey(self, wanted: tuple[str, ...], rules: tuple[BrowseRule, ...]) -> Survey:
        """Look at named nodes and follow rules; the first rule that takes a node has it.

        Parameters
        ----------
        wanted : tuple of str
            Node ids.
        rules : tuple of BrowseRule

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        ConfigError
            If a node id of the configuration is none.
        """
        survey = Survey()
        for node in wanted:
            address = self._nodes.normal(node)
            survey.found.append(Found(address, address))
        for place, rule in enumerate(rules):
            await self._follow(place, rule, survey)
        _settle(survey)
        return survey

    async def _follow(self, place: int, rule: BrowseRule, survey: Survey) -> None:
        root = await self._root(rule.root)
        if root is None:
            survey.problems.append(
                f"cannot browse: got root {rule.root!r}, want a node that the server has, "
                f"at browse[{place}]"
            )
            return
        found = await self._walk(place, rule, root, survey)
        await self._choose_by_type(rule, [each for each in found if not each.left_out])
        survey.found += found

    async def _choose_by_type(self, rule: BrowseRule, found: list[Found]) -> None:
        """Leave out what has another type definition or data type than the rule wants."""
        for each in found if rule.types else ():
            if not await self._is(each.type, rule.types):
                each.left_out = f"types: it is a {await self._name(each.type)}"
        if not rule.data_types:
            return
        declared = await self._nodes.read([each.node for each in found], "DataType")
        for each, node_id in zip(found, declared, strict=True):
            type_ = "" if node_id is None else self._nodes.address_of(node_id)
            if not each.left_out and not await self._is(type_, rule.data_types):
                each.left_out = f"data_types: it is a {await self._name(type_)}"

    async def _root(self, root: str) -> Any:
        if not root.startswith("/"):
            return self._nodes.node_id(root)
        at = self._nodes.node_id(_OBJECTS_FOLDER)
        for name in root.strip("/").split("/"):
            if at is None:
                return None
            references, _ = await self._nodes.browser.follow([at], classes=_OBJECTS_AND_VARIABLES)
            at = next(
                (
                    self._nodes.local(each.NodeId)
                    for each in references[0]
                    if _segment(each) == name
                ),
                None,
            )
        return at

    async def _walk(self, place: int, rule: BrowseRule, root: Any, survey: Survey) -> list[Found]:
        """Every variable below a node, nearest first; a cycle leads nowhere twice."""
        include, exclude = Globs(rule.include), Globs(rule.exclude)
        level: list[tuple[Any, str]] = [(root, "")]
        seen = {root}
        found: list[Found] = []
        for _ in range(rule.depth):
            room = rule.nodes_max - len(seen)
            references, unfinished = await self._nodes.browser.follow(
                [node for node, _ in level], classes=_OBJECTS_AND_VARIABLES, references_max=2 * room
            )
            if unfinished:
                survey.problems.append(
                    f"cannot browse {unfinished} nodes to the end, at browse[{place}]"
                )
            following: list[tuple[Any, str]] = []
            for (_, above), each in (
                (parent, reference)
                for parent, several in zip(level, references, strict=True)
                for reference in several
            ):
                node = self._nodes.local(each.NodeId)
                if node is None or node in seen:
                    continue
                if len(seen) >= rule.nodes_max:
                    survey.problems.append(
                        f"cannot browse further: got more than {rule.nodes_max} nodes, "
                        f"want at most nodes_max, at browse[{place}]"
                    )
                    return found
                seen.add(node)
                path = f"{above}/{_segment(each)}" if above else _segment(each)
                if len(path) > PATH_CHARACTERS_MAX:
                    survey.problems.append(
                        f"cannot take path {path[:80]!r}...: got {len(path)} characters"
                    )
                    continue
                barred = exclude.first(path)
                if each.NodeClass is ua.NodeClass.Variable:
                    one = self._seen(place, rule, node, each, path)
                    if barred is not None:
                        one.left_out = f"exclude: {barred}"
                    elif not one.left_out and rule.include and include.first(path) is None:
                        one.left_out = "include: no glob matches"
                    found.append(one)
                if barred is None:
                    following.append((node, path))
            level = following
            if not level:
                break
        return found

    def _seen(self, place: int, rule: BrowseRule, node: Any, each: Any, path: str) -> Found:
        address = self._nodes.address_of(node)
        index = node.NamespaceIndex
        known = self._nodes.namespaces
        uri = known[index] if index < len(known) else str(index)
        name = str(each.BrowseName.Name or "")
        fields = {"node": address, "path": path, "name": name, "namespace": uri}
        type_ = self._nodes.local(each.TypeDefinition) if each.TypeDefinition else None
        one = Found(
            fill(rule.address, fields),
            address,
            path,
            name,
            "" if type_ is None else self._nodes.address_of(type_),
            rule=place,
        )
        if each.ReferenceTypeId == _HAS_PROPERTY and not rule.properties:
            one.left_out = "properties: it is one"
        elif rule.namespace and uri != rule.namespace:
            one.left_out = f"namespace: it is of {uri}"
        elif not rule.namespace and not index:
            one.left_out = "namespace: it is of the standard one"
        return one

    async def _is(self, address: str, wanted: tuple[str, ...]) -> bool:
        """Whether a type or one of its supertypes has one of these names or node ids."""
        for _ in range(_DEPTH_MAX):
            if not address:
                return False
            if address in wanted or await self._name(address) in wanted:
                return True
            if address not in self._parents:
                self._parents[address] = await self._nodes.parent_type(address)
            address = self._parents[address] or ""
        return False

    async def _name(self, address: str) -> str:
        if address and address not in self._names:
            found = await self._nodes.read([address], "BrowseName")
            self._names[address] = getattr(found[0], "Name", None) or address
        return self._names.get(address, "node without type")


def _segment(reference: Any) -> str:
    """Browse name as part of a path."""
    return str(reference.BrowseName.Name or "").replace("/", "%2F")


def _settle(survey: Survey) -> None:
    """One item per node and per address; the first has it."""
    nodes: dict[str, Found] = {}
    addresses: dict[str, Found] = {}
    for each in survey.taken:
        if each.node in nodes:
            each.left_out = f"taken before: by {_rule(nodes[each.node])}"
        elif each.address in addresses:
            each.left_out = f"address: {addresses[each.address].node} has it already"
            survey.problems.append(
                f"cannot take {each.node}: got address {each.address!r}, "
                f"want another than {addresses[each.address].node} has"
            )
        else:
            nodes[each.node] = addresses[each.address] = each


def _rule(found: Found) -> str:
    return "nodes" if found.rule < 0 else f"browse[{found.rule}]"
