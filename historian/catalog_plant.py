"""Assets and state sets, and what the configuration declares: entered at start, with audit."""

import dataclasses
import json
from collections.abc import Sequence
from typing import cast, get_args

from historian.catalog import Catalog
from historian.catalog_records import AssetRecord, StateSetRecord, TagDraft
from historian.config import AssetConfig, HistorianConfig, StateSetConfig
from historian.config_plant import AssetLevel
from historian.durations import optional_ns
from storage_engine.sample import ValueType

PRINCIPAL = "configuration"
_DEPTH_MAX = 16


def apply_config(catalog: Catalog, config: HistorianConfig) -> None:
    """Declare what the file declares; what is gone from the file stays in the catalog.

    Parameters
    ----------
    catalog : Catalog
        Open for writing, in line with the engine.
    config : HistorianConfig
        Its tags, assets and state sets.

    Raises
    ------
    Conflict
        If a tag of the file contradicts one of the catalog.
    """
    for asset in config.assets:
        put_asset(catalog, asset, PRINCIPAL)
    for state_set in config.state_sets:
        put_state_set(catalog, state_set, PRINCIPAL)
    drafts = [
        TagDraft(
            name=tag.name,
            type=ValueType[tag.type.upper()],
            source=tag.source,
            address=tag.address,
            stepped=tag.stepped,
            eng_unit=tag.eng_unit,
            description=tag.description,
            asset=tag.asset,
            state_set=tag.state_set,
            hold_max_ns=optional_ns(tag.hold_max),
            stale_after_ns=optional_ns(tag.stale_after),
            counter_modulus=tag.counter_modulus,
            counter_rate_max=tag.counter_rate_max,
            counter_resets=tag.counter_resets,
            limit_low=tag.limit_low,
            limit_high=tag.limit_high,
        )
        for tag in config.tags
    ]
    if drafts:
        catalog.declare_tags(_as_named_now(catalog, drafts), PRINCIPAL)


def _as_named_now(catalog: Catalog, drafts: Sequence[TagDraft]) -> list[TagDraft]:
    """Give drafts of tags that were renamed since their present names: the file may lag behind."""
    listed = {draft.name for draft in drafts}
    named = []
    for draft in drafts:
        tag = catalog.find(draft.name)
        former = tag is not None and tag.name not in listed
        named.append(dataclasses.replace(draft, name=tag.name) if tag and former else draft)
    return named


def assets(catalog: Catalog) -> list[AssetRecord]:
    """Every asset in order of path."""
    rows = catalog.database.rows("SELECT path, level, description FROM assets ORDER BY path")
    return [AssetRecord(*row) for row in rows]


def put_asset(catalog: Catalog, asset: AssetConfig, principal: str) -> None:
    """Make or change an asset; what is equal already is no change."""
    database = catalog.database
    before = {a.path: a for a in assets(catalog)}.get(asset.path)
    if before == AssetRecord(asset.path, asset.level, asset.description):
        return
    facts = {"level": asset.level, "description": asset.description}
    old = None if before is None else {"level": before.level, "description": before.description}
    with database.transaction():
        database.execute(
            "INSERT INTO assets VALUES(?,?,?) ON CONFLICT(path) DO UPDATE"
            " SET level=excluded.level, description=excluded.description",
            (asset.path, asset.level, asset.description),
        )
        database.record(principal, "put asset", asset.path, old, facts)


def put_asset_path(catalog: Catalog, path: str, levels: str, principal: str) -> str:
    """Make the assets of a path that are not there, and leave those that are.

    Parameters
    ----------
    path : str
        Names from the top, separated by ``/``; empty ones are left out.
    levels : str
        Their levels, separated by ``/``; where there is none, by position from the enterprise.
    principal : str
        Who says so.

    Returns
    -------
    str
        The path as entered; empty when there is nothing of it, or it is deeper than any plant.
    """
    names = [name.strip() for name in path.split("/")]
    if len(names) > _DEPTH_MAX:
        return ""
    given = levels.split("/") if levels else []
    words = list(get_args(AssetLevel))
    made = ""
    place = 0
    known = {asset.path for asset in assets(catalog)}
    for position, name in enumerate(names):
        if not name:
            continue
        made = f"{made}/{name}" if made else name
        level = given[position] if position < len(given) else ""
        if level not in words:
            level = words[min(place, len(words) - 1)]
        place = words.index(level) + 1
        if made not in known:
            put_asset(catalog, AssetConfig(made, cast("AssetLevel", level)), principal)
    return made


def state_sets(catalog: Catalog) -> list[StateSetRecord]:
    """Newest version of every state set in order of name."""
    rows = catalog.database.rows(
        "SELECT name, max(version), states FROM state_sets GROUP BY name ORDER BY name"
    )
    return [StateSetRecord(name, version, tuple(json.loads(s))) for name, version, s in rows]


def put_state_set(catalog: Catalog, state_set: StateSetConfig, principal: str) -> None:
    """Add a state set, or a version of one; older versions stay, because samples mean them."""
    database = catalog.database
    before = {s.name: s for s in state_sets(catalog)}.get(state_set.name)
    if before is not None and before.states == state_set.states:
        return
    version = 1 if before is None else before.version + 1
    old = None if before is None else {"version": before.version, "states": before.states}
    with database.transaction():
        states = json.dumps(state_set.states)
        database.execute("INSERT INTO state_sets VALUES(?,?,?)", (state_set.name, version, states))
        facts = {"version": version, "states": state_set.states}
        database.record(principal, "put state set", state_set.name, old, facts)
