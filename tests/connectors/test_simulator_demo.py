"""demo.toml and the simulated plant fit together: topics, columns, ids, meters, tags."""

from pathlib import Path
from typing import Any

import pytest

from connectors.mqtt.config import MqttConfig, read_config
from connectors.opcua.config import read_config as read_opcua_config
from connectors.payload.mapping import Mapper
from connectors.simulator.config import PlantConfig
from connectors.simulator.live import COLLECTOR_CLIENT_ID, NAMESPACE
from connectors.simulator.meters import METERS
from connectors.simulator.output import PlantEvent
from connectors.simulator.plant import Plant
from connectors.simulator.process import plant_nodes
from connectors.simulator.stations import STATIONS
from historian.catalog_rules import TagRules
from historian.config import HistorianConfig, load_config
from historian.events import EVENT_KINDS
from storage_engine.sample import EventBatch

DEMO = Path(__file__).parents[2] / "historian" / "demo.toml"


@pytest.fixture(scope="module")
def demo() -> HistorianConfig:
    return load_config(DEMO)


@pytest.fixture(scope="module")
def mqtt(demo: HistorianConfig) -> MqttConfig:
    source = next(s for s in demo.sources if s.kind == "mqtt")
    return read_config(source.name, source.settings)


@pytest.fixture(scope="module")
def events() -> list[PlantEvent]:
    config = PlantConfig(seed=7, boards=800, sample_period_s=None)
    return [item for item in Plant(config).run() if isinstance(item, PlantEvent)]


def test_every_event_of_the_plant_is_mapped_to_its_kind_with_nothing_left_over(
    mqtt: MqttConfig, events: list[PlantEvent]
) -> None:
    """A message that no mapping takes would be in quarantine, and a board without its reel."""
    mapper = Mapper(mqtt.mappings)
    kinds: dict[str, int] = {}
    for event in events:
        mapper.add(event.topic, event.body(), 0)
    batches, rejects = mapper.take()
    for batch in batches:
        assert isinstance(batch, EventBatch)
        kinds[batch.kind] = kinds.get(batch.kind, 0) + len(batch)
        rest = next(i for i, c in enumerate(batch.columns) if c.name == "attributes")
        assert set(batch.data[rest].objects()) == {None}

    expected: dict[str, int] = {}
    for event in events:
        kind = event.payload["kind"]
        expected[kind] = expected.get(kind, 0) + 1
    assert rejects == ()
    assert expected == kinds


def test_mapped_columns_are_those_of_the_event_kinds(mqtt: MqttConfig) -> None:
    """The store knows the columns of historian/events.py and no others."""
    for mapping in mqtt.mappings:
        for kind, fields in mapping.fields.items():
            name = kind or mapping.event
            if not name:
                continue
            known = {c.name: c.type for c in EVENT_KINDS[name]}
            assert {f.column.name: f.column.type for f in fields}.items() <= known.items()


def test_ids_of_events_are_unique(mqtt: MqttConfig, events: list[PlantEvent]) -> None:
    """Two events with one id at one time would fall together."""
    keys = {(e.time_ns, e.payload["source"], e.payload["seq"]) for e in events}

    assert len(events) == len(keys)


def test_broker_keeps_messages_for_the_configured_client(mqtt: MqttConfig) -> None:
    """The simulator provisions one session; another client id would miss the first loads."""
    assert mqtt.broker.client_id == COLLECTOR_CLIENT_ID


def test_ports_of_simulator_and_sources_agree(demo: HistorianConfig, mqtt: MqttConfig) -> None:
    """The demonstration has both ends in one file."""
    opcua = next(s for s in demo.sources if s.kind == "opcua")
    config = read_opcua_config(opcua.name, opcua.settings)

    assert demo.simulator.mqtt_port == mqtt.broker.port
    assert f":{demo.simulator.opcua_port}/" in config.url


def test_every_variable_of_the_plant_gets_a_tag_of_its_own(demo: HistorianConfig) -> None:
    """An address without a rule would be rejected."""
    rules = TagRules(demo.tag_rules)
    source = next(s.name for s in demo.sources if s.kind == "opcua")
    names = set()
    for node in plant_nodes():
        draft = rules.draft(source, f"nsu={NAMESPACE};s={node.identifier}", node.type)
        assert draft is not None, node
        assert draft.asset in {a.path for a in demo.assets}
        if draft.eng_unit:
            assert node.eng_unit == draft.eng_unit
        names.add(draft.name)

    assert len(plant_nodes()) == len(names)


def test_meters_and_stations_are_those_of_the_plant(demo: HistorianConfig) -> None:
    """Energy across a wrap is right only with the meter's own modulus."""
    meters: dict[str, Any] = {spec.meter: spec for spec in METERS}

    assert meters.keys() == {m.id for m in demo.meters}
    assert {s.name for s in STATIONS} == {s.name for s in demo.stations}
    for meter in demo.meters:
        assert meters[meter.id].modulus_wh == meter.modulus
        assert meters[meter.id].station == meter.station
