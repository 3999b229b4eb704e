"""Keeps the registry in step with what the server has: looks at first, and again when due."""

from connectors.connector import Clock
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.describing import describe
from connectors.opcua.discovery import Discovery
from connectors.opcua.items import Item, Registry
from connectors.opcua.session import Session
from connectors.opcua.types import TypeTable
from connectors.sink import Reject, Sink

_PROBLEMS_MAX = 1_000


class Finder:
    """Items of one source.

    Parameters
    ----------
    config : OpcUaConfig
    registry : Registry
    clock : Clock

    Attributes
    ----------
    due : bool
        The server has changed: look again at the next opportunity.
    """

    def __init__(self, config: OpcUaConfig, registry: Registry, clock: Clock) -> None:
        self._config = config
        self._registry = registry
        self._clock = clock
        self._aliases: dict[str, str] = {}
        self._told: set[str] = set()
        self._looked_s = 0.0
        self.due = False

    def attach(self, nodes: AddressSpace) -> None:
        """Let a session know addresses of earlier looks that are not node ids."""
        nodes.aliases = self._aliases

    async def find(self, sink: Sink, session: Session) -> list[Item]:
        """Look at the server; describe what is new.

        Returns
        -------
        list of Item
            New ones, not yet monitored.

        Raises
        ------
        SourceUnavailable
            If the line is lost.
        ConfigError
            If a node id of the configuration is none.
        """
        self.due, self._looked_s = False, self._clock.monotonic_s()
        nodes = session.nodes
        self.attach(nodes)
        survey = await Discovery(nodes).survey(self._config.nodes, self._config.browse)
        self._aliases.update(survey.aliases())
        new = []
        for each in survey.taken:
            item = self._registry.add(each.address)
            if not item.described:
                new.append(item)
            rules = self._config.browse
            shape = self._config.shape if each.rule < 0 else rules[each.rule].shape
            self._registry.shapes[item.handle] = shape
        await session.structures.load()
        await TypeTable(nodes, self._registry).fill(new)
        taken = {each.address: each for each in survey.taken}
        items = await describe(nodes, [taken[item.address] for item in new])
        if items:
            await sink.describe(tuple(items))
        for item in new:
            item.described = True
        fresh = [each for each in survey.problems if each not in self._told]
        if fresh:
            now_ns = self._clock.now_ns()
            self._told.update(fresh[: max(0, _PROBLEMS_MAX - len(self._told))])
            await sink.reject(tuple(Reject(self._config.url, each, b"", now_ns) for each in fresh))
        return new

    async def again(self, sink: Sink, session: Session) -> list[Item]:
        """Look again, if it is due or time."""
        interval_s = self._config.discover_interval_s
        since_s = self._clock.monotonic_s() - self._looked_s
        if not self._config.browse or not (self.due or 0 < interval_s <= since_s):
            return []
        return await self.find(sink, session)
