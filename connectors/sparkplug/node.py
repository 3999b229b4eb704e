"""One edge node as its host sees it: birth, order, death. Pure: times are passed in.

Sparkplug 3.0.0, chapters 5 and 6. Sequence numbers run over the messages of the node and of its
devices; aliases are those of the last birth. A message that is missing is waited for; when it does
not come, a rebirth is asked for, and what came meanwhile is understood only if that birth is the
one we know: another one would give the aliases to other metrics.
"""

import enum
from collections import Counter
from itertools import takewhile

from connectors.sink import Gap, Reject
from connectors.sparkplug.birth import Birth, Definitions, read_birth
from connectors.sparkplug.message import Message, Rebirth, Rules, Told, bd_seq_of
from connectors.sparkplug.table import Table
from connectors.sparkplug.topics import scope
from storage_engine.sample import BAD_NO_COMMUNICATION, ValueType

_SEQUENCE = 256
_EARLY_MAX = 256  # messages before a birth: one round of sequence numbers
_HELD_MAX = 10_000  # messages behind a hole


class State(enum.Enum):
    """Of a node."""

    UNKNOWN = "unknown"  # no birth since we are connected
    ONLINE = "online"
    HOLE = "hole"  # online, a message is missing for good, a birth is asked for
    OFFLINE = "offline"


class Node:
    """The state machine of one edge node.

    Parameters
    ----------
    group, node : str
    rules : Rules
    told : Told
        Takes what comes of it.

    Attributes
    ----------
    rebirth : Rebirth
        Whether a birth is wanted now; whoever asks for it sets it back.
    born : bool
        A birth came; whoever notes it sets it back.
    """

    def __init__(self, group: str, node: str, rules: Rules, told: Told) -> None:
        self._group, self._node, self._rules, self._told = group, node, rules, told
        self.address = scope(group, node)
        self.state = State.UNKNOWN
        self.rebirth = Rebirth.NO
        self.tables: dict[str, Table] = {}  # "" is the node; others are devices that are online
        self.born = False
        self.deaths_ignored = 0
        self._bd_seq: int | None = None
        self._definitions: Definitions = {}
        self._aliases: dict[int, str] = {}  # alias -> device that has it
        self._next_seq = 0
        self._waiting: list[Message] = []  # out of order, or before a birth, or behind a hole
        self._deadline_s: float | None = None
        self._unborn: dict[str, Table] = {}  # devices whose birth did not follow that of the node
        self._unborn_s = 0.0
        self._behind: dict[str, list[Message]] = {}  # a hole: of devices, until they are born
        self._last_ns = 0
        self._lost_ns: int | None = None
        self._lost = 0

    def receive(self, message: Message) -> None:
        """Take the next message as it arrives."""
        if message.kind == "NDEATH":
            self._death(message)
        elif not 0 <= message.payload.seq < _SEQUENCE:
            why = f"cannot take {message.kind}: got sequence number {message.payload.seq}, "
            self._refuse(message, why + "want 0 to 255")
        elif message.kind == "NBIRTH":
            self._birth(message)
        elif self.state is State.ONLINE:
            if message.payload.seq == self._next_seq:
                self._apply(message)
                self._drain()
            else:
                self._waiting.append(message)
                if self._deadline_s is None:
                    self._deadline_s = message.now_s + self._rules.reorder_s
                if len(self._waiting) == _SEQUENCE - 1:
                    self._give_up_waiting()  # one more, and numbers say nothing
        elif self.state is State.HOLE:
            self._hold(message)
        else:
            self._early(message)

    def deadline_s(self) -> float | None:
        """When ``tick`` has something to do, if nothing else comes."""
        times = [self._deadline_s] if self._deadline_s is not None else []
        return min(
            [*times, *([self._unborn_s] if self._unborn or self._behind else [])], default=None
        )

    def tick(self, now_ns: int, now_s: float) -> None:
        """Do what is due."""
        if (self._unborn or self._behind) and now_s >= self._unborn_s:
            for table in self._unborn.values():
                self._stale(table.leaves(), now_ns)
            self._unborn = {}
            self._lose_behind()
        if self._deadline_s is None or now_s < self._deadline_s:
            return
        self._deadline_s = None
        if self.state is State.ONLINE:
            self._give_up_waiting()
        else:
            for message in self._waiting:
                self._lose(message)
            self._waiting = []

    def line_lost(self) -> None:
        """Our own line to the broker was cut: a birth may have passed unheard."""
        self._lose_behind()
        if self.state in {State.ONLINE, State.HOLE}:
            self._lost_ns = self._last_ns if self._lost_ns is None else self._lost_ns
        self.state = State.UNKNOWN if self.state is not State.OFFLINE else State.OFFLINE
        self._waiting, self._deadline_s = [], None

    def _birth(self, message: Message) -> None:
        payload = message.payload
        definitions: Definitions = {}
        birth = read_birth(payload, self.address, definitions, arrays=self._rules.arrays, node=True)
        known, self._aliases = self._aliases, {}
        self._own_aliases(birth, "")
        known, self._aliases = self._aliases, known
        table = Table(self.address, birth.metrics, self._told.samples)
        bd_seq = bd_seq_of(payload)
        self._close_hole(message, table, bd_seq)
        self._aliases = known
        before = {key: held for key, held in self.tables.items() if key}
        gone = self.tables[""].leaves() - table.leaves() if "" in self.tables else set()
        self._unborn = {**self._unborn, **before}
        self._unborn_s = message.now_s + self._rules.birth_hold_s
        early = self._waiting
        self._waiting, self._deadline_s = [], None
        self.tables, self._definitions, self._bd_seq = {"": table}, definitions, bd_seq
        self.state, self.rebirth, self.born = State.ONLINE, Rebirth.NO, True
        self._stale(gone, message.time_ns)
        self._take_birth(birth, message)
        self._next_seq = (payload.seq + 1) % _SEQUENCE
        self._name_loss(message.time_ns)
        for one in early:  # births of devices that a broker delivered before, and what followed
            self.receive(one)

    def _device_birth(self, message: Message) -> None:
        where = scope(self._group, self._node, message.device)
        birth = read_birth(
            message.payload, where, self._definitions, arrays=self._rules.arrays, node=False
        )
        old = self._drop_device(message.device)
        self._own_aliases(birth, message.device)
        table = Table(where, birth.metrics, self._told.samples)
        self.tables[message.device] = table
        self._open_behind(message.device, old, table)
        if old is not None:
            self._stale(old.leaves() - table.leaves(), message.time_ns)
        self._take_birth(birth, message)
        self._name_loss(message.time_ns)

    def _drop_device(self, device: str) -> Table | None:
        """Forget its metrics and aliases."""
        table = self.tables.pop(device, None)
        for metric in table.rows if table is not None else ():
            if metric.alias is not None:
                self._aliases.pop(metric.alias, None)
        return table or self._unborn.pop(device, None)

    def _own_aliases(self, birth: Birth, device: str) -> None:
        """Leave out metrics whose alias another has too: nobody could tell whose a value is."""
        owned = [metric.alias for metric in birth.metrics if metric.alias is not None]
        twice = {alias for alias, count in Counter(owned).items() if count > 1}
        twice |= {alias for alias in owned if alias in self._aliases}
        for metric in birth.metrics:
            if metric.alias in twice:
                why = f"got alias {metric.alias} for several metrics of the node, want one for each"
                self._told.rejects.append(Reject(metric.address, f"cannot take metric: {why}"))
        birth.metrics = [metric for metric in birth.metrics if metric.alias not in twice]
        self._aliases.update(dict.fromkeys(set(owned) - twice, device))

    def _take_birth(self, birth: Birth, message: Message) -> None:
        """Take what a birth told, and its values, which begin anew."""
        told, self._last_ns = self._told, message.time_ns
        told.items += birth.items
        rejects, _ = self.tables[message.device].values(
            message.payload, message.time_ms, told.samples, told.counts, refused=birth.refused
        )
        told.rejects += birth.rejects + rejects

    def _apply(self, message: Message) -> None:
        """Take a message whose turn it is."""
        self._next_seq = (message.payload.seq + 1) % _SEQUENCE
        if message.kind == "DBIRTH":
            self._device_birth(message)
            return
        self._last_ns = message.time_ns
        if message.kind == "DDEATH":
            dead = self._drop_device(message.device)
            if dead is not None:
                self._stale(dead.leaves(), message.time_ns)
            return
        table = self.tables.get(message.device)
        if table is None:  # data of a device that is not born
            self._lose(message)
            self._want_birth()
            return
        rejects, stranger = table.values(
            message.payload, message.time_ms, self._told.samples, self._told.counts
        )
        self._told.rejects += rejects
        if stranger:
            self._want_birth()

    def _drain(self) -> None:
        """Take what was waiting for the message that came."""
        found = True
        while found and self._waiting:
            found = False
            for k, message in enumerate(self._waiting):
                if message.payload.seq == self._next_seq:
                    del self._waiting[k]
                    self._apply(message)
                    found = True
                    break
        if not self._waiting:
            self._deadline_s = None

    def _give_up_waiting(self) -> None:
        """The missing message did not come in time."""
        expected, self._deadline_s = self._next_seq, None
        self._waiting.sort(key=lambda one: (one.payload.seq - expected) % _SEQUENCE)
        if self._rules.rebirth:
            self.state = State.HOLE
            self._want_birth()
            return
        # Nobody may be asked: go on as well as we can.
        waiting, self._waiting = self._waiting, []
        self._gap(self._last_ns, waiting[0].time_ns, self._missing(waiting))
        for message in waiting:
            self._apply(message)

    def _hold(self, message: Message) -> None:
        self._waiting.append(message)
        if len(self._waiting) > _HELD_MAX:
            self._waiting = []  # the hole is so much longer
        self._want_birth()

    def _close_hole(self, message: Message, table: Table, bd_seq: int | None) -> None:
        """A birth came: what waits behind the hole is known to be ours, or is not."""
        if self.state not in {State.HOLE, State.ONLINE}:
            return
        waiting = self._waiting
        if self.state is State.ONLINE:  # from the birth of a device on they may be of this birth
            waiting = list(takewhile(lambda one: one.kind != "DBIRTH", waiting))
        if not waiting and self.state is State.ONLINE:
            return
        self._waiting = self._waiting[len(waiting) :]
        same = bd_seq == self._bd_seq and table.signature() == self.tables[""].signature()
        if not (same and waiting):
            self._gap(self._last_ns, message.time_ns, self._missing(waiting))
            return
        self._gap(self._last_ns, waiting[0].time_ns, self._missing(waiting))
        for one in waiting:
            if one.device:
                self._behind.setdefault(one.device, []).append(one)
            else:
                self._apply(one)

    def _open_behind(self, device: str, old: Table | None, table: Table) -> None:
        """A device is born again: what came of it behind the hole is known to be its, or is not."""
        behind = self._behind.pop(device, [])
        same = old is not None and old.signature() == table.signature()
        told = self._told
        for one in behind:
            if same and all(each.kind == "DDATA" for each in behind):
                told.rejects += table.values(one.payload, one.time_ms, told.samples, told.counts)[0]
            else:
                self._lose(one)

    def _missing(self, waiting: list[Message]) -> str:
        got = waiting[0].payload.seq if waiting else "nothing"
        return f"messages lost: got sequence number {got}, want {self._next_seq}"

    def _early(self, message: Message) -> None:
        """Keep births of devices, and what follows one, for a little: brokers may mix them up."""
        if message.kind == "DBIRTH" or self._waiting:
            self._waiting.append(message)
            if self._deadline_s is None:
                self._deadline_s = message.now_s + self._rules.birth_hold_s
            if len(self._waiting) > _EARLY_MAX:
                self._lose(self._waiting.pop(0))
        else:
            self._lose(message)
        if self.rebirth is Rebirth.NO and self._rules.rebirth:
            self.rebirth = Rebirth.SPREAD if self.state is State.UNKNOWN else Rebirth.SOON

    def _lose(self, message: Message) -> None:
        if self._lost_ns is None:
            self._lost_ns = message.time_ns
        self._lost += 1

    def _lose_behind(self) -> None:
        for behind in self._behind.values():
            for message in behind:
                self._lose(message)
        self._behind = {}

    def _name_loss(self, end_ns: int) -> None:
        if self._lost_ns is not None:
            what = f"{self._lost} messages before a birth" if self._lost else "our line was cut"
            self._gap(self._lost_ns, end_ns, f"messages lost: {what}")
        self._lost_ns, self._lost = None, 0

    def _death(self, message: Message) -> None:
        bd_seq = bd_seq_of(message.payload)
        if self.state in {State.ONLINE, State.HOLE} and (
            None not in {bd_seq, self._bd_seq} and bd_seq != self._bd_seq
        ):
            self.deaths_ignored += 1  # the late will of an older session
            return
        if self.state is State.HOLE or (self.state is State.ONLINE and self._waiting):
            self._gap(self._last_ns, message.now_ns, self._missing(self._waiting))
        for table in (*self.tables.values(), *self._unborn.values()):
            self._stale(table.leaves(), message.now_ns)
        self._lose_behind()
        self.tables, self._unborn, self._waiting, self._deadline_s = {}, {}, [], None
        self._name_loss(message.now_ns)
        self.state = State.OFFLINE

    def _stale(self, leaves: set[tuple[ValueType, str]], timestamp_ns: int) -> None:
        by_type: dict[ValueType, list[str]] = {}
        for type_, address in sorted(leaves):
            by_type.setdefault(type_, []).append(address)
        for type_, addresses in by_type.items():
            self._told.samples.nulls(type_, addresses, timestamp_ns, BAD_NO_COMMUNICATION)

    def _want_birth(self) -> None:
        if self._rules.rebirth:
            self.rebirth = Rebirth.SOON

    def _refuse(self, message: Message, why: str) -> None:
        where = scope(self._group, self._node, message.device)
        self._told.rejects.append(Reject(where, why, message.payload.raw, message.time_ns))
        self._want_birth()

    def _gap(self, start_ns: int, end_ns: int, reason: str) -> None:
        self._told.gaps.append(Gap(start_ns, max(start_ns, end_ns), reason, self.address))
