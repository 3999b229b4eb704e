"""All nodes of a broker, and who is asked for a rebirth, and when. Pure: times are passed in."""

import random

from connectors.sink import Reject
from connectors.sparkplug.decode import Payload
from connectors.sparkplug.message import Message, Rebirth, Rules, Told
from connectors.sparkplug.node import Node, State
from connectors.sparkplug.topics import Topic, parse, scope

Name = tuple[str, str]  # group, node


class Rebirths:
    """Requests that are due, spread and limited.

    Parameters
    ----------
    interval_s : float
        Between two requests to the same node, at least.
    spread_s : float
        Over this time requests to nodes that are merely unknown are spread.
    rng : random.Random
    """

    def __init__(self, interval_s: float, spread_s: float, rng: random.Random) -> None:
        self._interval_s, self._spread_s, self._rng = interval_s, spread_s, rng
        self._due: dict[Name, float] = {}
        self._last: dict[Name, float] = {}

    def want(self, name: Name, how: Rebirth, now_s: float) -> None:
        """Ask this node once, as soon as it may be asked."""
        delay_s = self._rng.uniform(0.0, self._spread_s) if how is Rebirth.SPREAD else 0.0
        due = max(
            now_s + delay_s, self._last.get(name, now_s - self._interval_s) + self._interval_s
        )
        if name not in self._due or (how is Rebirth.SOON and due < self._due[name]):
            self._due[name] = due

    def born(self, name: Name) -> None:
        """It need not be asked any more."""
        self._due.pop(name, None)

    def forget(self) -> None:
        """Nobody can be asked: what is due now would be due all at once later."""
        self._due.clear()

    def deadline_s(self) -> float | None:
        """When the next request is due."""
        return min(self._due.values(), default=None)

    def take(self, now_s: float) -> list[Name]:
        """Nodes to be asked now."""
        found = [name for name, due in self._due.items() if due <= now_s]
        for name in found:
            del self._due[name]
            self._last[name] = now_s
        return found


class Fleet:
    """The state machines of all nodes.

    Parameters
    ----------
    rules : Rules
    rebirths : Rebirths

    Attributes
    ----------
    told : Told
        What came of the messages; whoever carries it on empties it.
    """

    def __init__(self, rules: Rules, rebirths: Rebirths) -> None:
        self.told = Told()
        self.nodes: dict[Name, Node] = {}
        self.rebirths = rebirths
        self._rules = rules
        self._timed: set[Name] = set()

    def receive(self, topic_text: str, raw: bytes, now_ns: int, now_s: float) -> None:
        """Take a message; commands of other hosts, STATE and foreign topics are passed over."""
        topic = parse(topic_text)
        if topic is None or topic.kind in {"NCMD", "DCMD"}:
            return
        name = (topic.group, topic.node)
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = Node(*name, self._rules, self.told)
        try:
            payload = Payload(raw)
        except ValueError as error:
            self._refuse(topic, raw, now_ns, str(error))
            if self._rules.rebirth:
                self.rebirths.want(name, Rebirth.SOON, now_s)
            return
        node.receive(Message(topic.kind, topic.device, payload, now_ns, now_s))
        self._after(name, node, now_s)

    def tick(self, now_ns: int, now_s: float) -> None:
        """Do what is due."""
        for name in [*self._timed]:
            node = self.nodes[name]
            node.tick(now_ns, now_s)
            self._after(name, node, now_s)

    def deadline_s(self) -> float | None:
        """When ``tick`` or a request for a rebirth is due, if nothing else comes."""
        times = [self.nodes[name].deadline_s() for name in self._timed]
        times.append(self.rebirths.deadline_s())
        return min((time for time in times if time is not None), default=None)

    def line_lost(self) -> None:
        """Our line to the broker was cut: nobody's births are known any more."""
        self._timed.clear()
        self.rebirths.forget()
        for name, node in self.nodes.items():
            node.line_lost()
            if node.deadline_s() is not None:
                self._timed.add(name)

    def line_up(self, now_s: float) -> None:
        """Our line is there: whoever is unknown is asked, from now on over the time to spread."""
        for name, node in self.nodes.items():
            if self._rules.rebirth and node.state is State.UNKNOWN:
                self.rebirths.want(name, Rebirth.SPREAD, now_s)

    def online(self) -> int:
        """How many nodes are."""
        return sum(node.state in {State.ONLINE, State.HOLE} for node in self.nodes.values())

    def _after(self, name: Name, node: Node, now_s: float) -> None:
        if node.rebirth is not Rebirth.NO:
            self.rebirths.want(name, node.rebirth, now_s)
            node.rebirth = Rebirth.NO
        elif node.born:
            self.rebirths.born(name)
        node.born = False
        if node.deadline_s() is None:
            self._timed.discard(name)
        else:
            self._timed.add(name)

    def _refuse(self, topic: Topic, raw: bytes, now_ns: int, why: str) -> None:
        where = scope(topic.group, topic.node, topic.device)
        self.told.rejects.append(Reject(where, why, raw, now_ns))
