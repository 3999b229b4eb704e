"""Which tags a source's nodes would become: discovery without a write."""

from dataclasses import dataclass

from connectors.opcua.dry_run import look
from historian.catalog_rules import TagRules
from historian.clock import SystemClock
from historian.config import HistorianConfig
from historian.errors import NotFound
from storage_engine.sample import ValueType


@dataclass(frozen=True, slots=True)
class Prospect:
    """A node, and the tag it would become.

    Attributes
    ----------
    tag : str
        Empty where no tag is declared and no rule matches, or where it is left out.
    left_out : str
        The rule that leaves it out; empty for what is taken.
    """

    node: str
    address: str
    path: str
    tag: str
    type: str
    eng_unit: str
    low: float | None
    high: float | None
    name: str
    data_type: str
    left_out: str


async def discover(config: HistorianConfig, source: str) -> tuple[list[Prospect], list[str]]:
    """Look at the server of a source; nothing is written.

    Returns
    -------
    (list of Prospect, list of str)
        Nodes, and what could not be looked at.

    Raises
    ------
    NotFound
        If there is no such source of kind ``opcua``.
    ConnectorError
        If its settings are wrong or its server cannot be reached.
    """
    known = {each.name: each for each in config.sources if each.kind == "opcua"}
    if source not in known:
        names = ", ".join(known) or "none is configured"
        raise NotFound(f"cannot discover: got source {source!r}, want one of kind opcua ({names})")
    found = await look(source, known[source].settings, SystemClock())
    rules = TagRules(config.tag_rules)
    declared = {each.address: each.name for each in config.tags if each.source == source}
    prospects = []
    for each in found.found:
        item = found.items.get(each.address)
        type_ = found.types.get(each.address)
        tag, left_out = "", each.left_out
        if not left_out and item is None:
            left_out = "nodes: the server has no such node"
        if not left_out:
            draft = rules.draft(source, each.address, type_ or ValueType.FLOAT64)
            tag = declared.get(each.address) or (draft.name if draft else "")
        prospects.append(
            Prospect(
                each.node,
                each.address,
                each.path,
                tag,
                type_.name.lower() if type_ and not left_out else "",
                item.eng_unit if item and not left_out else "",
                item.low if item and not left_out else None,
                item.high if item and not left_out else None,
                item.name if item else each.name,
                item.facts.get("data_type", "") if item else "",
                left_out,
            )
        )
    return prospects, found.problems
