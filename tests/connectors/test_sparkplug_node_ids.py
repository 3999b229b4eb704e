"""Order, death and commands of Sparkplug nodes: a test for each id, and one that no id is left."""

import sys
from pathlib import Path

import pytest

from connectors.connector import ConfigError
from connectors.mqtt.packets import encode_publish
from connectors.sparkplug.commands import command, rebirth
from connectors.sparkplug.config import read_config
from connectors.sparkplug.node import State
from connectors.sparkplug.topics import Topic
from storage_engine.sample import BAD_NO_COMMUNICATION

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_edge import BOOLEAN, DOUBLE, INT32, Edge, T, fleet, metric, rows, values
from sparkplug_proto import Payload

HERE = Path(__file__).parent
NAME = ("g", "n")


def test_each_id_of_the_list_has_a_test():
    """Those of the host's profile in the compatibility kit, and two beside it."""
    ids = (HERE / "sparkplug_host_ids.txt").read_text().split()
    text = "".join(path.read_text() for path in HERE.glob("test_sparkplug_*_ids.py"))
    assert len(set(ids)) == 93
    assert [one for one in ids if f"def test_{one.replace('-', '_')}(" not in text] == []


def born(**rules):
    """A node with one metric and two devices."""
    host = fleet(**rules)
    edge = Edge(host)
    edge.nbirth([metric("speed", 1, INT32, alias=1)])
    edge.send("DBIRTH", [metric("heat", 20.5, DOUBLE, alias=2)], "d1")
    edge.send("DBIRTH", [metric("heat", 21.5, DOUBLE, alias=3)], "d2")
    rows(host.told)
    return host, edge


def test_operational_behavior_host_reordering_param():
    def reorder_s(**more):
        return read_config("s", {"host": "h", "host_id": "i", **more}).rules.reorder_s

    assert (reorder_s(), reorder_s(reorder_timeout_s=0.25)) == (5.0, 0.25)
    with pytest.raises(ConfigError, match="reorder_timeout_s"):
        reorder_s(reorder_timeout_s=-1)


def test_operational_behavior_host_reordering_start():
    host, edge = born(reorder_s=5.0)
    assert host.deadline_s() is None
    edge.send("NDATA", [metric(alias=1, value=2, kind="int_value")], seq=4)
    assert host.deadline_s() == edge.now_s + 5.0
    edge.now_s += 1
    edge.send("NDATA", [metric(alias=1, value=2, kind="int_value")], seq=6)
    assert host.deadline_s() == edge.now_s + 4.0


def test_operational_behavior_host_reordering_success():
    host, edge = born()
    for seq in (5, 4):
        edge.send("NDATA", [metric(alias=1, value=seq, kind="int_value", at=T + seq)], seq=seq)
        assert values(host.told) == []
    edge.send("DDATA", [metric(alias=2, value=3.0, kind="double_value")], "d1", seq=3)
    assert values(host.told) == [("g/n/d1:heat", 3.0), ("g/n:speed", 4), ("g/n:speed", 5)]
    assert host.deadline_s() is None
    assert edge.wait(60) == []
    assert host.told.gaps == []


def test_operational_behavior_host_reordering_rebirth():
    _, edge = born(reorder_s=5.0)
    edge.send("NDATA", [metric(alias=1, value=5, kind="int_value")], seq=5)
    assert edge.wait(4.9) == []
    assert edge.wait(0.2) == [NAME]
    wish = rebirth(*NAME, T)
    sent = Payload.FromString(wish.payload)
    assert wish.topic == "spBv1.0/g/NCMD/n"
    assert [(m.name, m.boolean_value) for m in sent.metrics] == [("Node Control/Rebirth", True)]


def test_operational_behavior_edge_node_termination_host_action_ndeath_node_offline():
    host, edge = born()
    edge.ndeath()
    assert host.nodes[NAME].state is State.OFFLINE
    assert {ms for _, ms, _, _ in rows(host.told)} == {1_800_000_000_000 + 100_000}


def test_operational_behavior_edge_node_termination_host_action_ndeath_node_tags_stale():
    host, edge = born()
    edge.ndeath()
    stale = {a: (ms, q, v) for a, ms, q, v in rows(host.told) if "/d" not in a}
    assert set(stale) == {"g/n:bdSeq", "g/n:Node Control/Rebirth", "g/n:speed"}
    assert set(stale.values()) == {(1_800_000_100_000, BAD_NO_COMMUNICATION, None)}


def test_operational_behavior_edge_node_termination_host_action_ndeath_devices_offline():
    host, edge = born()
    assert set(host.nodes[NAME].tables) == {"", "d1", "d2"}
    edge.ndeath()
    assert host.nodes[NAME].tables == {}


def test_operational_behavior_edge_node_termination_host_action_ndeath_devices_tags_stale():
    host, edge = born()
    edge.ndeath()
    assert [row for row in rows(host.told) if "/d" in row[0]] == [
        ("g/n/d1:heat", 1_800_000_100_000, BAD_NO_COMMUNICATION, None),
        ("g/n/d2:heat", 1_800_000_100_000, BAD_NO_COMMUNICATION, None),
    ]


def test_operational_behavior_edge_node_termination_host_action_ddeath_devices_offline():
    host, edge = born()
    edge.send("DDEATH", device="d1", at=T + 77)
    assert set(host.nodes[NAME].tables) == {"", "d2"}
    assert [ms for _, ms, _, _ in rows(host.told)] == [T + 77]


def test_operational_behavior_edge_node_termination_host_action_ddeath_devices_tags_stale():
    host, edge = born()
    edge.send("DDEATH", device="d1", at=T + 77)
    assert rows(host.told) == [("g/n/d1:heat", T + 77, BAD_NO_COMMUNICATION, None)]


@pytest.fixture
def commands():
    """A command to a node and one to a device, both with known metrics."""
    host, _ = born()
    tables = host.nodes[NAME].tables
    return (
        command(Topic("", "g", "n"), tables[""], "Node Control/Rebirth", True, T),
        command(Topic("", "g", "n", "d1"), tables["d1"], "heat", 4, T),
    )


def read(sent):
    return Payload.FromString(sent.payload)


def test_topics_ncmd_topic(commands):
    assert commands[0].topic == "spBv1.0/g/NCMD/n"


def test_topics_dcmd_topic(commands):
    assert commands[1].topic == "spBv1.0/g/DCMD/n/d1"


def test_operational_behavior_data_commands_ncmd_verb(commands):
    assert commands[0].topic.split("/")[2] == "NCMD"


def test_operational_behavior_data_commands_dcmd_verb(commands):
    assert commands[1].topic.split("/")[2] == "DCMD"


def on_the_line(sent):
    return encode_publish(sent.topic, sent.payload, sent.qos, retain=sent.retain, five=True)[0]


def test_topics_ncmd_mqtt(commands):
    assert on_the_line(commands[0]) == 0x30


def test_topics_dcmd_mqtt(commands):
    assert on_the_line(commands[1]) == 0x30


def test_payloads_ncmd_qos(commands):
    assert commands[0].qos == rebirth(*NAME, T).qos == 0


def test_payloads_dcmd_qos(commands):
    assert commands[1].qos == 0


def test_payloads_ncmd_retain(commands):
    assert commands[0].retain is rebirth(*NAME, T).retain is False


def test_payloads_dcmd_retain(commands):
    assert commands[1].retain is False


def test_topics_ncmd_timestamp(commands):
    assert read(commands[0]).timestamp == read(rebirth(*NAME, T)).timestamp == T


def test_topics_dcmd_timestamp(commands):
    assert read(commands[1]).timestamp == T


def test_payloads_ncmd_timestamp(commands):
    assert read(commands[0]).HasField("timestamp")


def test_payloads_dcmd_timestamp(commands):
    assert read(commands[1]).HasField("timestamp")


def test_payloads_ncmd_seq(commands):
    assert not read(commands[0]).HasField("seq")
    assert not read(rebirth(*NAME, T)).HasField("seq")


def test_payloads_dcmd_seq(commands):
    assert not read(commands[1]).HasField("seq")


def test_topics_ncmd_payload(commands):
    assert [m.boolean_value for m in read(commands[0]).metrics] == [True]


def test_topics_dcmd_payload(commands):
    assert [(m.alias, m.double_value) for m in read(commands[1]).metrics] == [(2, 4.0)]


def refused(device, name, value):
    host, _ = born()
    with pytest.raises(ValueError, match="cannot command") as caught:
        command(Topic("", "g", "n", device), host.nodes[NAME].tables[device], name, value, T)
    return str(caught.value)


def test_operational_behavior_data_commands_ncmd_metric_name():
    assert "got no such metric in the birth" in refused("", "heat", 1)


def test_operational_behavior_data_commands_dcmd_metric_name():
    assert "got no such metric in the birth" in refused("d1", "speed", 1)


def test_operational_behavior_data_commands_ncmd_metric_value():
    for wrong in (1.5, "1", True, 1 << 31, -(1 << 31) - 1):
        assert "want Int32" in refused("", "speed", wrong)
    host, _ = born()
    sent = command(Topic("", "g", "n"), host.nodes[NAME].tables[""], "speed", -(1 << 31), T)
    assert read(sent).metrics[0].int_value == 1 << 31


def test_operational_behavior_data_commands_dcmd_metric_value():
    for wrong in ("1", True, None):
        assert "want Double" in refused("d1", "heat", wrong)


def test_operational_behavior_data_commands_ncmd_rebirth_verb():
    assert rebirth(*NAME, T).topic == "spBv1.0/g/NCMD/n"


def test_operational_behavior_data_commands_ncmd_rebirth_name():
    sent = read(rebirth(*NAME, T)).metrics
    assert [(m.name, m.HasField("alias")) for m in sent] == [("Node Control/Rebirth", False)]


def test_operational_behavior_data_commands_ncmd_rebirth_value():
    sent = read(rebirth(*NAME, T)).metrics[0]
    assert sent.HasField("boolean_value")
    assert sent.boolean_value is True


def test_payloads_alias_data_cmd_requirement(commands):
    by_alias = read(commands[1]).metrics[0]
    assert (by_alias.HasField("alias"), by_alias.HasField("name")) == (True, False)
    assert read(commands[0]).metrics[0].name == "Node Control/Rebirth"


def test_payloads_metric_datatype_not_req(commands):
    """Except in the request for a rebirth: nodes of Eclipse Tahu read no value without it."""
    assert not any(m.HasField("datatype") for sent in commands for m in read(sent).metrics)
    assert read(rebirth(*NAME, T)).metrics[0].datatype == BOOLEAN


def test_payloads_name_cmd_requirement(commands):
    assert [m.timestamp for sent in commands for m in read(sent).metrics] == [T, T]


def test_message_flow_edge_node_birth_publish_will_message_topic():
    """An obligation of the node: its death is understood on that topic and on no other."""
    host, edge = born()
    for wrong in ("spBv1.0/g/NDEATH/n/d1", "spAv1.0/g/NDEATH/n", "spBv1.0/NDEATH/g/n"):
        host.receive(
            wrong, edge.payload([metric("bdSeq", 0, 4)], seq=False).SerializeToString(), 1, 1
        )
        assert host.nodes[NAME].state is State.ONLINE
    assert Topic("NDEATH", "g", "n").text == edge.topic("NDEATH")
    edge.ndeath()
    assert host.nodes[NAME].state is State.OFFLINE
