"""sparkplug/node and fleet: births, order and death where no id of the kit says how."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sparkplug.message import Rebirth
from connectors.sparkplug.node import State
from connectors.sparkplug.topics import parse, scope
from storage_engine.sample import BAD_NO_COMMUNICATION

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_edge import DOUBLE, INT32, Edge, T, fleet, metric, rows, values

NAME = ("g", "n")


def data(edge, value, *, alias=1, seq=None, at=T, device="", kind="int_value"):
    edge.send(
        "DDATA" if device else "NDATA", [metric(alias=alias, value=value, kind=kind)],
        device, at=at, seq=seq,
    )  # fmt: skip


def born(aliases=(1,), **rules):
    host = fleet(**rules)
    edge = Edge(host)
    edge.nbirth([metric(f"m{alias}", 0, INT32, alias=alias) for alias in aliases])
    rows(host.told)
    return host, edge


def gaps(host):
    found = [(gap.start_ns // 10**6, gap.end_ns // 10**6, gap.address) for gap in host.told.gaps]
    host.told.gaps.clear()
    return found


def test_the_values_of_a_birth_are_samples():
    """At the times of the metrics, or of the payload."""
    host = fleet()
    Edge(host).nbirth([metric("a", 3, INT32, alias=1, at=T - 5), metric("b/c", 2.5, DOUBLE)])
    found = [(a, ms, v) for a, ms, _, v in rows(host.told) if a.startswith(("g/n:a", "g/n:b/"))]
    assert sorted(found) == [("g/n:a", T - 5, 3), ("g/n:b/c", T, 2.5)]


def test_sequence_numbers_go_round_over_the_node_and_its_devices():
    """255 is followed by 0; a rebirth starts again anywhere."""
    host, edge = born()
    edge.send("DBIRTH", [metric("d", 0, INT32, alias=9)], "dev")
    rows(host.told)
    for value in range(600):
        data(edge, value, alias=9 if value % 3 else 1, device="dev" if value % 3 else "")
    assert sorted(v for _, v in values(host.told)) == list(range(600))
    edge.send("NBIRTH", [metric("m1", 1, INT32, alias=1)], seq=200)
    data(edge, 4, seq=201)
    assert host.deadline_s() == edge.now_s + 5.0  # a device waits to be born again
    assert values(host.told, "g/n:m1") == [("g/n:m1", 1), ("g/n:m1", 4)]


@settings(max_examples=60)
@given(st.permutations(range(1, 13)), st.sets(st.integers(1, 12), max_size=3))
def test_messages_in_any_order_come_out_in_theirs(order, lost):
    """Whole again when nothing is lost; else up to the hole, and a birth is asked for."""
    host, edge = born(reorder_s=5.0)
    for seq in order:
        if seq not in lost:
            data(edge, seq, seq=seq, at=T + seq)
    reach = min(lost, default=13)
    assert [v for _, v in values(host.told)] == list(range(1, reach))
    pending = any(seq > reach for seq in set(range(1, 13)) - lost)
    assert edge.wait(6) == ([NAME] if pending else [])


def test_what_came_behind_a_hole_is_kept_for_a_birth_that_is_the_same():
    """The gap is the hole alone."""
    host, edge = born()
    data(edge, 1, at=T + 1)
    rows(host.told)
    edge.seq += 1
    data(edge, 3, at=T + 3)
    assert edge.wait(6) == [NAME]
    data(edge, 4, at=T + 4)
    assert values(host.told) == []
    edge.nbirth([metric("m1", 5, INT32, alias=1)], at=T + 5)
    assert values(host.told, "g/n:m1") == [("g/n:m1", 3), ("g/n:m1", 4), ("g/n:m1", 5)]
    assert gaps(host) == [(T + 1, T + 3, "g/n")]
    data(edge, 6)
    assert values(host.told) == [("g/n:m1", 6)]


@pytest.mark.parametrize("other", ["session", "aliases"])
def test_what_came_behind_a_hole_is_no_value_of_another_birth(other):
    """It would be the value of another metric; the gap says what is missing."""
    host, edge = born(aliases=(1, 2))
    data(edge, 1, at=T + 1)
    rows(host.told)
    edge.seq += 1
    data(edge, 3, at=T + 3)
    edge.wait(6)
    edge.bd_seq += other == "session"
    first, second = (1, 2) if other == "session" else (2, 1)
    both = [metric("m1", 7, INT32, alias=first), metric("m2", 8, INT32, alias=second)]
    edge.nbirth(both, at=T + 5)
    assert sorted(values(host.told, "g/n:m")) == [("g/n:m1", 7), ("g/n:m2", 8)]
    assert gaps(host) == [(T + 1, T + 5, "g/n")]


@pytest.mark.parametrize("same", [True, False])
def test_what_a_device_said_behind_a_hole_waits_for_its_own_birth(same):
    """The lost message may have been that one's; another birth makes it nobody's."""
    host, edge = born()
    both = [metric("a", 0, INT32, alias=8), metric("b", 0, INT32, alias=9)]
    edge.send("DBIRTH", both, "d")
    data(edge, 1, at=T + 1)
    rows(host.told)
    edge.seq += 1
    data(edge, 5, alias=8, device="d", at=T + 5)
    assert edge.wait(6) == [NAME]
    edge.nbirth([metric("m1", 0, INT32, alias=1)], at=T + 7)
    assert values(host.told, "g/n/d") == []
    if not same:
        both = [metric("a", 0, INT32, alias=9), metric("b", 0, INT32, alias=8)]
    edge.send("DBIRTH", both, "d", at=T + 8)
    found = sorted(values(host.told, "g/n/d"))
    assert found == [("g/n/d:a", 0), *([("g/n/d:a", 5)] if same else []), ("g/n/d:b", 0)]
    assert gaps(host) == [(T + 1, T + 5, "g/n"), *([] if same else [(T + 5, T + 8, "g/n")])]


def test_a_device_that_was_born_behind_a_hole_is_taken_from_its_next_birth():
    """Which aliases its data had meanwhile is not pieced together: the gap has them."""
    host, edge = born()
    both = [metric("a", 0, INT32, alias=8), metric("b", 0, INT32, alias=9)]
    edge.send("DBIRTH", both, "d")
    rows(host.told)
    edge.seq += 1
    edge.send("DBIRTH", [metric("a", 4, INT32, alias=9)], "d", at=T + 4)
    data(edge, 5, alias=9, device="d", at=T + 5)
    edge.wait(6)
    edge.nbirth([metric("m1", 0, INT32, alias=1)], at=T + 7)
    edge.send("DBIRTH", both, "d", at=T + 8)
    assert sorted(values(host.told, "g/n/d")) == [("g/n/d:a", 0), ("g/n/d:b", 0)]
    assert gaps(host) == [(T, T + 4, "g/n"), (T + 4, T + 8, "g/n")]


def test_what_was_lost_before_a_death_is_named_up_to_it():
    """Behind it everything is known: it is stale."""
    host = fleet()
    edge = Edge(host)
    data(edge, 1, at=T + 1)
    edge.ndeath()
    assert gaps(host) == [(T + 1, 1_800_000_100_000, "g/n")]
    edge.nbirth()
    assert gaps(host) == []


def test_without_rebirths_a_hole_is_named_and_stepped_over():
    """Nobody is asked: switched off."""
    host, edge = born(rebirth=False)
    data(edge, 1, at=T + 1)
    data(edge, 9, seq=9, at=T + 9)
    assert edge.wait(6) == []
    assert (values(host.told), gaps(host)) == (
        [("g/n:m1", 1), ("g/n:m1", 9)],
        [(T + 1, T + 9, "g/n")],
    )
    data(edge, 10, seq=10)
    assert values(host.told) == [("g/n:m1", 10)]


def test_a_hole_of_a_whole_round_is_given_up_at_once():
    """After 256 messages a number says nothing; memory is bounded."""
    host, edge = born()
    for k in range(300):
        data(edge, k, seq=(k + 2) % 256, at=T + k)
    assert host.nodes[NAME].state is State.HOLE
    assert edge.wait(0) == [NAME]


def test_a_death_of_an_older_session_is_passed_over():
    """The late will of a line that the node has replaced."""
    host = fleet()
    edge = Edge(host)
    edge.bd_seq = 7
    edge.nbirth([metric("m1", 0, INT32, alias=1)])
    rows(host.told)
    edge.ndeath(bd_seq=6)
    data(edge, 5)
    assert values(host.told) == [("g/n:m1", 5)]
    assert host.nodes[NAME].deaths_ignored == 1
    edge.ndeath(bd_seq=7)
    assert {q for _, _, q, _ in rows(host.told)} == {BAD_NO_COMMUNICATION}


def test_death_and_birth_leave_no_gap():
    """Between them values are stale: that is known, and written."""
    host, edge = born()
    edge.ndeath()
    edge.bd_seq = 1
    edge.nbirth([metric("m1", 4, INT32, alias=1)], at=T + 9)
    assert gaps(host) == []
    assert [(q, v) for a, _, q, v in rows(host.told) if a == "g/n:m1"] == [
        (BAD_NO_COMMUNICATION, None), (0, 4),
    ]  # fmt: skip


def test_aliases_are_those_of_the_last_birth():
    """A rebirth may deal them anew."""
    host, edge = born(aliases=(1, 2))
    edge.nbirth([metric("m2", 0, INT32, alias=1), metric("m1", 0, INT32, alias=2)])
    rows(host.told)
    data(edge, 10, alias=1)
    assert values(host.told) == [("g/n:m2", 10)]


def test_metrics_and_devices_that_are_not_born_again_go_stale():
    """A metric that the birth leaves out, at once; a device whose birth does not follow, later."""
    host, edge = born(aliases=(1, 2))
    for device, alias in (("d", 7), ("e", 8)):
        edge.send("DBIRTH", [metric("x", 1, INT32, alias=alias)], device)
    rows(host.told)
    edge.nbirth([metric("m1", 0, INT32, alias=1)], at=T + 3)
    edge.send("DBIRTH", [metric("x", 2, INT32, alias=7)], "d")
    assert [(a, ms) for a, ms, q, _ in rows(host.told) if q] == [("g/n:m2", T + 3)]
    edge.wait(6)
    assert [(a, v) for a, _, q, v in rows(host.told) if q] == [("g/n/e:x", None)]


def test_a_device_may_die_and_be_born_with_the_same_aliases():
    """They are its own."""
    host, edge = born()
    for value in (5, 6):
        edge.send("DBIRTH", [metric("x", value, INT32, alias=7)], "d")
        edge.send("DDEATH", device="d", at=T + value)
    assert host.told.rejects == []
    assert [(a, q != 0) for a, _, q, _ in rows(host.told)] == [
        ("g/n/d:x", False),
        ("g/n/d:x", True),
    ] * 2


def test_births_of_devices_before_that_of_the_node_are_kept_a_little():
    """Some brokers mix them up."""
    host = fleet()
    edge = Edge(host)
    edge.send("DBIRTH", [metric("x", 3, INT32, alias=7)], "d", seq=1)
    data(edge, 4, alias=7, device="d", seq=2)
    edge.nbirth()
    assert values(host.told, "g/n/d") == [("g/n/d:x", 3), ("g/n/d:x", 4)]
    assert (gaps(host), edge.wait(100)) == ([], [])


def test_data_of_a_node_that_was_not_heard_being_born_ask_for_it_once():
    """And the time without them is named."""
    host = fleet(spread_s=30.0)
    edge = Edge(host)
    for k in range(20):
        data(edge, k, seq=k, at=T + k)
    due = host.deadline_s()
    assert edge.now_s <= due <= edge.now_s + 30
    assert edge.wait(due - edge.now_s) == [NAME]
    edge.nbirth([metric("m1", 1, INT32, alias=1)], at=T + 30)
    assert gaps(host) == [(T, T + 30, "g/n")]
    assert edge.wait(100) == []


def test_requests_for_births_are_spread_and_limited():
    """A plant that comes back does not answer all at once; a deaf node is not shouted at."""
    host = fleet(interval_s=30.0, spread_s=30.0)
    for k in range(100):
        data(Edge(host, node=f"n{k}"), 1, seq=5)
    clock = Edge(host)
    asked = [len(clock.wait(1)) for _ in range(31)]
    assert sum(asked) == 100
    assert max(asked) < 20
    deaf = Edge(host, node="n5")
    deaf.now_s = clock.now_s
    for _ in range(200):
        data(deaf, 1, seq=5)
        asked.append(len(deaf.wait(1)))
    assert 5 <= sum(asked) - 100 <= 7


def test_data_of_a_device_before_its_birth_ask_for_one_and_are_named():
    """A birth of the node brings those of its devices."""
    host, edge = born()
    data(edge, 4, alias=9, device="d", at=T + 4)
    assert edge.wait(0) == [NAME]
    edge.nbirth(at=T + 6)
    assert gaps(host) == [(T + 4, T + 6, "g/n")]


def test_an_unknown_alias_asks_for_a_birth_and_is_told_of_once():
    """A thousand messages of it do not fill the quarantine."""
    host, edge = born()
    for k in range(50):
        data(edge, k, alias=1 << 63)
        data(edge, k)
    assert len(values(host.told)) == 50
    assert [(r.address, f"alias {1 << 63}" in r.reason) for r in host.told.rejects] == [
        ("g/n", True)
    ]
    assert host.told.counts.unknown == 50
    assert edge.wait(0) == [NAME]


def test_an_alias_of_two_metrics_is_the_alias_of_none():
    """In a birth, or of two devices: nobody could tell whose a value is."""
    host, edge = born(aliases=(1,))
    edge.send(
        "DBIRTH", [metric(n, 1, INT32, alias=a) for n, a in (("x", 1), ("y", 5), ("z", 5))], "d"
    )
    assert values(host.told) == []
    assert {r.address for r in host.told.rejects} >= {"g/n/d:x", "g/n/d:y", "g/n/d:z"}
    data(edge, 3, alias=5, device="d")
    data(edge, 4, alias=1)
    assert values(host.told) == [("g/n:m1", 4)]


def test_a_line_of_ours_that_was_cut_makes_every_node_unknown():
    """A birth may have passed unheard: values wait for one, and the time is named."""
    host, edge = born()
    data(edge, 1, at=T + 1)
    host.line_lost()
    host.line_up(edge.now_s)
    data(edge, 2, at=T + 2)
    assert values(host.told, "g/n:m1") == [("g/n:m1", 1)]
    assert edge.wait(30) == [NAME]
    edge.nbirth([metric("m1", 3, INT32, alias=1)], at=T + 3)
    assert values(host.told, "g/n:m1") == [("g/n:m1", 3)]
    assert gaps(host) == [(T + 1, T + 3, "g/n")]


def test_a_long_cut_of_our_line_does_not_ask_all_at_once():
    """The time to spread begins when they can be asked."""
    host = fleet(spread_s=30.0)
    edges = [Edge(host, node=f"n{k}") for k in range(60)]
    for edge in edges:
        edge.nbirth()
    host.line_lost()
    clock = edges[0]
    clock.now_s += 600
    host.line_up(clock.now_s)
    asked = [len(clock.wait(1)) for _ in range(31)]
    assert (sum(asked), max(asked) < 12) == (60, True)


@pytest.mark.parametrize("kind", ["NBIRTH", "NDATA"])
def test_a_payload_that_is_none_is_rejected_and_asks_for_a_birth(kind):
    """With where it broke."""
    host, edge = born()
    edge.give(kind, b"\x0a")
    assert ["at byte 0" in r.reason and r.payload == b"\x0a" for r in host.told.rejects] == [True]
    assert edge.wait(0) == [NAME]


@pytest.mark.parametrize("seq", [False, 256, 1 << 62])
def test_a_message_without_a_sequence_number_is_rejected(seq):
    """It has no place."""
    host, edge = born()
    data(edge, 1, seq=seq)
    assert len(host.told.rejects) == 1
    assert host.nodes[NAME].rebirth is Rebirth.NO
    assert edge.wait(0) == [NAME]


def test_what_is_none_of_ours_makes_no_node():
    """Commands, STATE, foreign topics."""
    host = fleet()
    for topic in (
        "spBv1.0/g/NCMD/n", "spBv1.0/g/DCMD/n/d", "spBv1.0/STATE/x", "spBv1.0/g/NDATA", "a/b",
        "spBv1.0/g/DDATA/n", "spBv1.0//NDATA/n", "spBv1.0/g/NDATA/n/d", "spBv1.0/g/XDATA/n",
    ):  # fmt: skip
        host.receive(topic, b"", 0, 0)
    assert host.nodes == {}


@given(st.lists(st.text("ab:%3A", min_size=1, max_size=4), min_size=4, max_size=4))
def test_addresses_are_unambiguous(names):
    """Group, node, device and metric can be read back."""
    group, node, device, name = names
    whole = f"{scope(group, node, device)}:{name}"
    found, _, tail = whole.partition(":")
    back = [part.replace("%3A", ":").replace("%25", "%") for part in found.split("/")]
    assert ([*back, tail]) == [group, node, device, name]
    assert parse(f"spBv1.0/{group}/DDATA/{node}/{device}").device == device
