"""What a source would take from its server: a look that changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.connector import Clock
from connectors.opcua.config import read_config
from connectors.opcua.describing import describe
from connectors.opcua.discovery import Discovery, Found
from connectors.opcua.items import Registry
from connectors.opcua.session import Session
from connectors.opcua.types import TypeTable
from connectors.sink import SourceItem
from storage_engine.sample import ValueType


@dataclass(frozen=True, slots=True)
class Look:
    """What was found.

    Attributes
    ----------
    found : list of Found
        Taken and left out, in the order of the rules.
    items : dict of str to SourceItem
        Metadata by address, of those taken that the server has.
    types : dict of str to ValueType
        By address, where the server declares one that a sample can have.
    problems : list of str
    """

    found: list[Found]
    items: dict[str, SourceItem]
    types: dict[str, ValueType]
    problems: list[str]


async def look(name: str, settings: Mapping[str, Any], clock: Clock) -> Look:
    """Connect as the source would, look, and leave.

    Raises
    ------
    ConfigError
        If the settings are wrong.
    SourceUnavailable
        If the server cannot be reached or is not trusted.
    """
    config = read_config(name, settings)
    session = Session(config, clock)
    await session.connect()
    try:
        survey = await Discovery(session.nodes).survey(config.nodes, config.browse)
        session.nodes.aliases = survey.aliases()
        registry = Registry()
        items = [registry.add(each.address) for each in survey.taken]
        await TypeTable(session.nodes, registry).fill(items)
        described = await describe(session.nodes, survey.taken)
    finally:
        await session.close()
    declared = zip(registry.addresses, registry.types.tolist(), strict=True)
    return Look(
        survey.found,
        {item.address: item for item in described},
        {address: ValueType(type_) for address, type_ in declared if type_},
        survey.problems,
    )
