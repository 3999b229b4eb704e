"""Settings that describe the plant: tags, assets, state sets, meters, stations."""

import re
from dataclasses import dataclass, field
from typing import Literal

from historian.config_toml import SIGNED
from historian.durations import optional_ns

TypeName = Literal["float64", "float32", "int64", "uint64", "bool", "symbol"]
AssetLevel = Literal["enterprise", "site", "area", "line", "station"]


@dataclass(frozen=True, slots=True)
class TagRuleConfig:
    """``[[tag_rules]]``: makes a tag of an address that no tag declares; the first match wins.

    Attributes
    ----------
    name : str
        Name of the new tag; ``{1}`` and ``{group}`` stand for groups of ``address``, ``{0}`` for
        all of it, ``{source}`` for the source.
    source : str
        Which sources, as a shell pattern.
    address : str
        Which addresses, as a regular expression over the whole address.
    stepped : bool or None
        Whether a value holds until the next; unset: by type (floats slope, the rest step).
    eng_unit : str
        Engineering unit.
    description : str
        Text for people, with the same groups as ``name``.
    asset : str
        Path of the asset, with the same groups.
    """

    name: str
    source: str = "*"
    address: str = ".*"
    stepped: bool | None = None
    eng_unit: str = ""
    description: str = ""
    asset: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.address)
        except re.error as error:
            message = f"got address {self.address!r}: {error}, want a regular expression"
            raise ValueError(message) from error


@dataclass(frozen=True, slots=True)
class TagConfig:
    """``[[tags]]``: a tag made at start, before anything writes to it.

    Attributes
    ----------
    name : str
        Unique name.
    type : str
        float64, float32, int64, uint64, bool or symbol.
    source : str
        Source that feeds it; empty: written over HTTP only.
    address : str
        Address at that source.
    stepped : bool or None
        Whether a value holds until the next; unset: by type.
    eng_unit : str
        Engineering unit.
    description : str
        Text for people.
    asset : str
        Path of the asset it belongs to.
    state_set : str
        State set that names its values.
    hold_max : str
        A sample holds its value at most so long, then there is a gap: ``15m``; empty: until the
        next.
    stale_after : str
        A newest sample older than this is stale, though it may still hold; empty: never.
    counter_modulus : float or None
        Value at which a counter starts again at zero; unset: it is none that does.
    counter_rate_max : float or None
        Largest plausible rise of the counter per second; a wrap is believed only below it.
    counter_resets : bool or None
        A fall that is no wrap is a start from zero.
    limit_low : float or None
        Lower engineering limit, for displays.
    limit_high : float or None
        Upper engineering limit, for displays.
    """

    name: str
    type: TypeName = "float64"
    source: str = ""
    address: str = ""
    stepped: bool | None = None
    eng_unit: str = ""
    description: str = ""
    asset: str = ""
    state_set: str = ""
    hold_max: str = ""
    stale_after: str = ""
    counter_modulus: float | None = None
    counter_rate_max: float | None = None
    counter_resets: bool | None = None
    limit_low: float | None = field(default=None, metadata=SIGNED)
    limit_high: float | None = field(default=None, metadata=SIGNED)

    def __post_init__(self) -> None:
        for key in ("hold_max", "stale_after"):
            try:
                optional_ns(getattr(self, key))
            except ValueError as error:
                message = f"{error}, at {key}"
                raise ValueError(message) from error


@dataclass(frozen=True, slots=True)
class AssetConfig:
    """``[[assets]]``: a place in the plant, ISA-95.

    Attributes
    ----------
    path : str
        Names from the top, separated by ``/``.
    level : str
        enterprise, site, area, line or station.
    description : str
        Text for people.
    """

    path: str
    level: AssetLevel
    description: str = ""


@dataclass(frozen=True, slots=True)
class StateSetConfig:
    """``[[state_sets]]``: the named states that a tag may take.

    Attributes
    ----------
    name : str
        Unique name.
    states : tuple of str
        States in order; an integer tag's value is the position.
    """

    name: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """``[[meters]]``: an energy meter and how its register counts.

    Attributes
    ----------
    id : str
        Name in ``meter_read`` events.
    eng_unit : str
        Unit of the register, for example kWh.
    modulus : float or None
        Value at which the register starts again at zero; unset: it does not.
    rate_max_per_s : float or None
        Largest plausible rise per second; what rises faster is not energy.
    station : str
        Station it supplies; empty: the line.
    """

    id: str
    eng_unit: str = "kWh"
    modulus: float | None = None
    rate_max_per_s: float | None = None
    station: str = ""


@dataclass(frozen=True, slots=True)
class StationConfig:
    """``[[stations]]``: where work is done, and which tags belong to it.

    Attributes
    ----------
    name : str
        Name in station events.
    line : str
        Line it stands in.
    tags : tuple of str
        Names of tags as shell patterns; a passport shows their curves per visit.
    """

    name: str
    line: str = ""
    tags: tuple[str, ...] = ()
