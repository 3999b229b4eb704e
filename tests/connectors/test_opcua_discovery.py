"""opcua/discovery: rules choose, metadata come along, hostile trees do no harm."""

import asyncio

import pytest
from asyncua import ua

from connectors.opcua import calls
from connectors.opcua.browsing import Browser
from connectors.opcua.config import read_config
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.dry_run import look
from connectors.opcua.session import Session
from connectors.opcua.testing import URI, Plant, quick_settings, running
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"


async def press(plant):
    """A line with two stations, an analog item with all its facts, an enumeration, a property."""
    await plant.start(speed=(1.5, ua.VariantType.Double))
    server = plant.server
    index = await server.get_namespace_index(URI)
    other = await server.register_namespace("urn:other")
    line = server.get_node(ua.NodeId("Line", index))
    for name in ("st1", "st2"):
        station = await line.add_object(ua.NodeId(name, index), ua.QualifiedName(name, index))
        for kind, value in (("temperature", 20.5), ("count", 7), ("label", "x")):
            await station.add_variable(
                ua.NodeId(f"{name}.{kind}", index), ua.QualifiedName(kind, index), value
            )
    foreign = await line.add_variable(ua.NodeId("f", other), ua.QualifiedName("f", other), 1.0)
    station = server.get_node(ua.NodeId("st1", index))
    analog = await station.add_object(ua.NodeId("a", index), ua.QualifiedName("analog", index))
    force = await analog.add_variable(
        ua.NodeId("force", index),
        ua.QualifiedName("force", index),
        3.5,
        datatype=ua.NodeId(ua.ObjectIds.Double),
    )
    await force.write_attribute(
        ua.AttributeIds.Description,
        ua.DataValue(ua.Variant(ua.LocalizedText("press force"), ua.VariantType.LocalizedText)),
    )
    range_ = ua.Range(Low=-5.0, High=250.0)
    unit = ua.EUInformation(UNECE, 4937544, ua.LocalizedText("kN"), ua.LocalizedText("kilonewton"))
    await force.add_property(ua.NodeId("r", index), ua.QualifiedName("EURange", 0), range_)
    await force.add_property(ua.NodeId("u", index), ua.QualifiedName("EngineeringUnits", 0), unit)
    mode = await analog.add_variable(ua.NodeId("mode", index), ua.QualifiedName("mode", index), 1)
    texts = [ua.LocalizedText(text) for text in ("stopped", "running")]
    await mode.add_property(ua.NodeId("e", index), ua.QualifiedName("EnumStrings", 0), texts)
    return foreign, line


async def paths(port, *rules):
    """Paths that rules take, and reasons by path for the rest."""
    found = await look("line", quick_settings(port, browse=list(rules)), SystemClock())
    taken = [each.path for each in found.found if not each.left_out]
    return taken, {each.path: each.left_out for each in found.found if each.left_out}, found


def in_press(work):
    """Run work(port, plant) beside a server."""

    async def play():
        plant = Plant(free_port())
        await press(plant)
        try:
            return await work(plant.port, plant)
        finally:
            await plant.stop()

    return asyncio.run(play())


RULES = [
    ({"include": ["*/temperature"]}, ["st1/temperature", "st2/temperature"]),
    ({"include": ["**/force"]}, ["st1/analog/force"]),
    ({"exclude": ["st1", "*/label"]}, ["speed", "f", "st2/temperature", "st2/count"]),
    ({"namespace": "urn:other"}, ["f"]),
    ({"namespace": URI, "data_types": ["String"]}, ["st1/label", "st2/label"]),
    ({"include": ["st?/*"], "data_types": ["Integer"]}, ["st1/count", "st2/count"]),
    (
        {"types": ["PropertyType"], "properties": True, "include": ["**/force/**"]},
        ["st1/analog/force/EURange", "st1/analog/force/EngineeringUnits"],
    ),
    ({"depth": 1}, ["speed", "f"]),
]


@pytest.mark.parametrize(("rule", "expected"), RULES, ids=lambda value: str(value)[:40])
def test_a_rule_takes_what_it_describes(rule, expected):
    root = f"nsu={URI};s=Line"
    taken, left_out, _ = in_press(lambda port, _: paths(port, {"root": root, **rule}))

    assert sorted(expected) == sorted(taken)
    assert all(": " in reason for reason in left_out.values())


def test_what_is_left_out_names_the_part_of_the_rule():
    rule = {
        "root": "/Line",
        "include": ["st1/**", "f"],
        "exclude": ["*/label"],
        "data_types": ["Number"],
        "namespace": URI,
    }
    taken, left_out, _ = in_press(lambda port, _: paths(port, rule))

    assert ["st1/temperature", "st1/count", "st1/analog/force", "st1/analog/mode"] == taken
    assert "include: no glob matches" == left_out["speed"]
    assert "namespace: it is of urn:other" == left_out["f"]
    assert "exclude: */label" == left_out["st1/label"]
    assert "properties: it is one" == left_out["st1/analog/force/EURange"]


def test_a_variable_brings_its_description_unit_range_type_and_states_into_the_catalog():
    _, _, found = in_press(lambda port, _: paths(port, {"root": "/Line/st1"}))

    force = found.items[f"nsu={URI};s=force"]
    assert ("force", "press force", "kN") == (force.name, force.description, force.eng_unit)
    assert (-5.0, 250.0) == (force.low, force.high)
    assert {"path": "analog/force", "data_type": "Double", "unece": "KWH"}.keys() == (
        force.facts.keys()
    )
    assert "Double" == force.facts["data_type"]
    mode = found.items[f"nsu={URI};s=mode"]
    assert '{"0": "stopped", "1": "running"}' == mode.facts["states"]


def test_addresses_follow_a_template_and_deliver_values():
    async def work(port, plant):
        sink = RecordingSink()
        browse = [{"root": "/Line", "address": "press/{path}", "include": ["st?/count"]}]
        settings = quick_settings(port, browse=browse)
        async with running(OpcUaConnector("line", settings, SystemClock()), sink):
            await asyncio.wait_for(sink.wait_for_rows(2), 30)
        return sink

    sink = in_press(work)

    assert {("press/st1/count", 7), ("press/st2/count", 7)} == {(r[0], r[3]) for r in sink.rows()}
    assert f"nsu={URI};s=st1.count" in {item.facts["node"] for item in sink.items}


def test_two_nodes_of_one_address_are_named_and_the_first_has_it():
    rules = [
        {"root": f"/Line/{name}", "address": "x/{path}", "depth": 1} for name in ("st1", "st2")
    ]
    taken, _, found = in_press(lambda port, _: paths(port, *rules, rules[0]))

    assert ["temperature", "count", "label"] == taken
    last = [each for each in found.found if each.path == "count"]
    assert [
        "",
        f"address: nsu={URI};s=st1.count has it already",
        "taken before: by browse[0]",
    ] == [each.left_out for each in last]
    assert 3 == sum("want another than" in problem for problem in found.problems)


def test_a_cycle_and_a_tree_without_end_are_looked_at_once_and_no_further_than_the_bound():
    async def work(port, plant):
        server = plant.server
        index = await server.get_namespace_index(URI)
        line = server.get_node(ua.NodeId("Line", index))
        await server.get_node(ua.NodeId("st2", index)).add_reference(line, ua.ObjectIds.Organizes)
        taken, _, whole = await paths(port, {"root": "/Line", "depth": 100})
        _, _, bounded = await paths(port, {"root": "/Line", "depth": 100, "nodes_max": 5})
        return taken, whole, bounded

    taken, whole, bounded = in_press(work)

    assert len(taken) == len(set(taken)) == 10
    assert [] == whole.problems
    assert len(bounded.found) <= 5
    assert any("nodes_max" in problem for problem in bounded.problems)


def test_batches_are_halved_until_the_server_takes_them_and_none_is_forgotten(monkeypatch):
    """Asyncua's server takes everything; this one says no to more than three at once."""
    sizes = []

    async def work(port, plant):
        from asyncua.server.internal_session import InternalSession

        browse, read = InternalSession.browse, InternalSession.read

        async def small_browse(self, params):
            if self.external:
                sizes.append(len(params.NodesToBrowse))
                if len(params.NodesToBrowse) > 3:
                    raise ua.uaerrors.BadTooManyOperations
            return await browse(self, params)

        async def small_read(self, params):
            if self.external and len(params.NodesToRead) > 3:
                raise ua.uaerrors.BadResponseTooLarge
            return await read(self, params)

        whole, _, _ = await paths(port, {"root": "/Line"})
        monkeypatch.setattr(InternalSession, "browse", small_browse)
        monkeypatch.setattr(InternalSession, "read", small_read)
        return whole, (await paths(port, {"root": "/Line"}))[0]

    whole, small = in_press(work)

    assert whole == small
    assert max(sizes) > 3
    assert len(small) == 10


def test_limits_that_the_server_says_are_kept_from_the_first_call():
    async def work(port, plant):
        config = read_config("line", quick_settings(port, nodes=["i=1"]))
        for node in ("i=11705", "i=11710"):
            await plant.server.get_node(node).write_value(17, ua.VariantType.UInt32)
        session = Session(config, SystemClock())
        await session.connect()
        try:
            return session.nodes._reads.size, session.nodes._browses.size
        finally:
            await session.close()

    assert (17, 17) == in_press(work)


class Stingy:
    """Gives two references at a time and has so many continuation points; asyncua has none."""

    def __init__(self, children, points):
        self.children, self.free, self.held, self.calls = children, points, {}, 0

    def _answer(self, rest):
        result = ua.BrowseResult()
        result.References, rest = rest[:2], rest[2:]
        if rest and not self.free:
            result.References = []
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints)
        elif rest:
            self.free -= 1
            result.ContinuationPoint = str(len(self.held)).encode()
            self.held[result.ContinuationPoint] = rest
        return result

    async def browse(self, parameters):
        self.calls += 1
        return [self._answer(self.children[d.NodeId.Identifier]) for d in parameters.NodesToBrowse]

    async def browse_next(self, parameters):
        rests = [self.held[point] for point in parameters.ContinuationPoints]
        self.free += len(rests)
        if parameters.ReleaseContinuationPoints:
            return [ua.BrowseResult() for _ in rests]
        return [self._answer(rest) for rest in rests]


@pytest.mark.parametrize("points", [1, 2, 100])
def test_references_in_many_answers_arrive_whole_with_few_continuation_points(points):
    children = {n: [(n, k) for k in range(n)] for n in range(1, 8)}
    server = Stingy(children, points)
    browser = Browser(server, calls.Pieces("opc.tcp://h:1", 3))

    nodes = [ua.NodeId(n, 1) for n in children]
    found, unfinished = asyncio.run(browser.follow(nodes, (1,)))

    assert (list(children.values()), 0, points) == (found, unfinished, server.free)


@pytest.mark.parametrize(("points", "most"), [(0, 1_000), (100, 4)])
def test_what_could_not_be_browsed_to_the_end_is_counted_and_points_are_given_back(points, most):
    server = Stingy({1: list(range(50)), 2: list(range(50))}, points)
    browser = Browser(server, calls.Pieces("opc.tcp://h:1", 10))

    nodes = [ua.NodeId(1, 1), ua.NodeId(2, 1)]
    found, unfinished = asyncio.run(browser.follow(nodes, (1,), references_max=most))

    assert unfinished >= 2
    assert sum(map(len, found)) < 10
    assert points == server.free


def test_pieces_learn_and_refuse_a_server_that_takes_nothing():
    from connectors.connector import SourceUnavailable

    async def serve(_chunk):
        raise ua.uaerrors.BadTooManyOperations

    with pytest.raises(SourceUnavailable):
        asyncio.run(calls.Pieces("opc.tcp://h:1", 100).run(list(range(10)), serve))


def test_addresses_stay_the_same_when_a_restarted_server_orders_its_namespaces_otherwise():
    """Numbers of namespaces are a session's; an item must not become its neighbour."""

    async def serve(port, uris):
        plant = Plant(port)
        server = plant.server
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
        for uri in uris:
            index = await server.register_namespace(uri)
            node = await server.nodes.objects.add_variable(
                ua.NodeId("x", index), ua.QualifiedName("x", index), uri
            )
            plant.nodes[uri] = node
        await server.start()
        return plant

    async def play():
        port, uris, sink = free_port(), ["urn:a", "urn:b"], RecordingSink()
        browse = [{"depth": 1}]
        connector = OpcUaConnector("line", quick_settings(port, browse=browse), SystemClock())
        for order in (uris, uris[::-1]):
            plant = await serve(port, order)
            before = sink.row_count
            try:
                async with running(connector, sink):
                    await asyncio.wait_for(sink.wait_for_rows(before + 2), 30)
            finally:
                await plant.stop()
        return sink

    sink = asyncio.run(play())

    rows = [(address, value) for address, _, _, value in sink.rows()]
    assert 4 == len(rows)
    assert {("nsu=urn:a;s=x", "urn:a"), ("nsu=urn:b;s=x", "urn:b")} == set(rows)


def test_a_node_that_appears_later_becomes_an_item_at_the_next_look():
    async def work(port, plant):
        sink = RecordingSink()
        more = {"browse": [{"root": "/Line"}], "survey_interval_s": 0.1}
        settings = quick_settings(port, **more, discover_interval_s=0.2)
        async with running(OpcUaConnector("line", settings, SystemClock()), sink):
            await asyncio.wait_for(sink.wait_for_rows(10), 30)
            index = await plant.server.get_namespace_index(URI)
            line = plant.server.get_node(ua.NodeId("Line", index))
            await line.add_variable(ua.NodeId("late", index), ua.QualifiedName("late", index), 9.5)
            await asyncio.wait_for(sink.wait_for_rows(11), 30)
        return sink

    sink = in_press(work)

    assert (f"nsu={URI};s=late", 9.5) == (sink.rows()[-1][0], sink.rows()[-1][3])
    assert 1 == sum(item.address == f"nsu={URI};s=late" for item in sink.items)


def test_a_node_that_is_replaced_is_found_without_waiting_for_the_interval():
    """What vanishes is reason to look: a new program of a controller has other node ids."""

    async def work(port, plant):
        sink = RecordingSink()
        more = {"browse": [{"root": "/Line", "depth": 1}], "survey_interval_s": 0.1}
        settings = quick_settings(port, **more, discover_interval_s=0.0)
        async with running(OpcUaConnector("line", settings, SystemClock()), sink):
            await asyncio.wait_for(sink.wait_for_rows(2), 30)
            index = await plant.server.get_namespace_index(URI)
            line = plant.server.get_node(ua.NodeId("Line", index))
            await line.add_variable(ua.NodeId("v2", index), ua.QualifiedName("speed", index), 2.5)
            await plant.server.delete_nodes([plant.nodes["speed"]])
            await asyncio.wait_for(sink.wait_for_rejects(1), 30)
            while f"nsu={URI};s=v2" not in {row[0] for row in sink.rows()}:
                await asyncio.wait_for(sink.wait_for_rows(sink.row_count + 1), 30)
        return sink

    sink = in_press(work)

    assert [f"nsu={URI};s=speed"] == [reject.address for reject in sink.rejects]
    assert 2.5 in {value for _, _, _, value in sink.rows()}
