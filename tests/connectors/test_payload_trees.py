"""Unified-namespace trees: topics say where their tags stand, whatever mapping reads them."""

import json

import pytest

from connectors.connector import ConfigError
from connectors.payload.config import read_mappings
from connectors.payload.mapping import Mapper
from connectors.payload.trees import read_trees
from connectors.settings import Table

NAMESPACE = [
    {"topic": "uns/acme/+/+/+/+/#", "levels": ["", "enterprise", "site", "area", "line", "cell"]},
    {"topic": "lab/#", "levels": ["site"]},
]


def mapper_of(mappings, trees):
    """A mapper with trees."""
    table = Table({"mappings": mappings, "trees": trees}, "test")
    return Mapper(read_mappings(table.tables("mappings")), read_trees(table.tables("trees")))


def placed(mapper, *messages):
    """(address, asset, levels) of what the messages told."""
    for topic, body in messages:
        assert mapper.add(topic, json.dumps(body).encode(), 1)
    return [
        (item.address, item.facts["asset"], item.facts["asset_levels"])
        for item in mapper.take_items()
    ]


@pytest.mark.parametrize(
    "mapping",
    [
        {"topic": "#", "kind": "values"},
        {"topic": "#", "kind": "samples", "value": ""},
    ],
)
def test_levels_of_a_topic_are_levels_of_the_plant_by_position(mapping):
    """A rule per prefix; each address is told of once."""
    mapper = mapper_of([mapping], NAMESPACE)
    topic = "uns/acme/aachen/packing/line1/robot/speed"

    told = placed(mapper, (topic, 5.5), ("lab/scale", 2.5), ("elsewhere/x", 1.5))

    levels = "enterprise/site/area/line/station"
    assert [
        (topic, "acme/aachen/packing/line1/robot", levels),
        ("lab/scale", "lab", "site"),
    ] == told
    assert [] == placed(mapper, (topic, 6.5))


def test_every_key_of_a_message_is_placed():
    """Also those that come later."""
    mapping = {"topic": "#", "kind": "samples", "address": "{topic}/{key}"}
    mapper = mapper_of([mapping], NAMESPACE)

    assert [("lab/a/x", "lab", "site")] == placed(mapper, ("lab/a", {"x": 1}))
    assert [("lab/a/y", "lab", "site")] == placed(mapper, ("lab/a", {"x": 1, "y": "word"}))


@pytest.mark.parametrize(
    "wrong", [{"levels": []}, {"levels": ["", ""]}, {"levels": ["planet"]}, {"lvels": ["site"]}]
)
def test_wrong_rules_are_refused(wrong):
    """By name."""
    with pytest.raises(ConfigError, match="levels"):
        mapper_of(
            [],
            [
                {"topic": "#", "levels": ["site"], **wrong}
                if "levels" in wrong
                else wrong | {"topic": "#"}
            ],
        )
