"""What genealogy answers with: frozen records; times in nanoseconds UTC, None where unknown."""

import enum
from dataclasses import dataclass

from historian.errors import Conflict, NotFound


class UnknownUnit(NotFound):
    """No event names this serial number (of this product)."""

    def __init__(self, serial: str, product: str | None = None) -> None:
        of = "" if product is None else f" of product {product!r}"
        super().__init__(
            f"cannot trace unit: got serial {serial!r}{of}, want one that an event names, "
            "at genealogy",
            got=serial,
            product=product,
        )


class UnknownLot(NotFound):
    """No event names this lot."""

    def __init__(self, lot: str) -> None:
        message = f"cannot trace lot: got {lot!r}, want one that an event names, at genealogy"
        super().__init__(message, got=lot)


class AmbiguousUnit(Conflict):
    """Units of several products bear the serial number; ``products`` says which."""

    def __init__(self, serial: str, products: tuple[str | None, ...]) -> None:
        super().__init__(
            f"cannot trace unit: got serial {serial!r} of products {list(products)}, "
            "want one product, at genealogy",
            got=serial,
            products=products,
        )
        self.products = products


class Evidence(enum.Enum):
    """How a link is known, strongest first."""

    EXACT = "EXACT"  # a machine or a scan reported it
    WINDOW = "WINDOW"  # loaded there at that time, the only candidate
    AMBIGUOUS = "AMBIGUOUS"  # one of several candidates, all of them listed


@dataclass(frozen=True, slots=True)
class UnitKey:
    """Identity of a unit: a serial is unique within a product only."""

    serial: str
    product: str | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with what its events say of it now.

    ``open_station`` is where it is, as far as is known; ``last_verdict`` that of its newest visit
    that has one. ``first_ns`` and ``last_ns`` bound its own events.
    """

    key: UnitKey
    kind: str | None
    order: str | None
    created_ns: int | None
    parent: str | None
    position: int | None
    split_ns: int | None
    first_ns: int
    last_ns: int
    visit_count: int
    last_station: str | None
    open_station: str | None
    last_verdict: str | None
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of a unit at a station for one attempt: ``[in, start, end, out)``.

    Attributes
    ----------
    attempt : int
        1 for the first visit of this unit to this station.
    loop : int
        0 until the unit comes back to a station; then how often it has.
    in_ns, out_ns : int or None
        Bounds of the stay. ``out_ns`` is None while the unit is there.
    start_ns, end_ns : int or None
        Bounds of the work.
    verdict : str or None
        As reported by the newest event of the visit that has one.
    flags : tuple of str
        ``in_inferred`` (out without in), ``out_inferred`` (in without out), ``out_from_panel``
        (the panel's departure, reported after the split), ``open``, ``repeated_start``,
        ``start_before_in``, ``end_after_out``, ``overlaps_next`` (clocks differ),
        ``verdicts_differ``, ``shared_serial`` (an event names only the serial, and several
        products bear it).
    inherited_from : str or None
        The panel that made this visit before the split.
    """

    station: str
    nest: str | None
    carrier: str | None
    attempt: int
    loop: int
    in_ns: int
    start_ns: int | None
    end_ns: int | None
    out_ns: int | None
    verdict: str | None
    recipe: str | None
    flags: tuple[str, ...]
    inherited_from: str | None


@dataclass(frozen=True, slots=True)
class MaterialUse:
    """One lot that went, or may have gone, into a unit.

    Attributes
    ----------
    lot : str or None
        None when the machine named neither lot nor a loaded slot.
    visit : int or None
        Index into the unit's visits; None when at no known visit.
    first_ns, last_ns : int
        When it happened: equal for a reported event; the overlap of work and load otherwise.
    removed_ns : int or None
        When the component came out again; None while it is in.
    removed_quantity : float
        How much of ``quantity`` was removed.
    alternatives : tuple of str
        All candidates of the same slot and visit, this lot included; one for EXACT and WINDOW.
    flags : tuple of str
        ``load_inferred``, ``unload_inferred`` (bounds of the load were not reported),
        ``installation_unknown``, ``partly_removed``, ``position_unknown``, ``shared_serial``.
    inherited_from : str or None
        The panel it was consumed on.
    """

    lot: str | None
    part: str | None
    supplier_lot: str | None
    station: str | None
    slot: str | None
    position: int | None
    visit: int | None
    quantity: float | None
    first_ns: int
    last_ns: int
    evidence: Evidence
    alternatives: tuple[str, ...]
    removed_ns: int | None = None
    removed_quantity: float = 0.0
    flags: tuple[str, ...] = ()
    inherited_from: str | None = None


@dataclass(frozen=True, slots=True)
class UnitUse:
    """A unit that a lot went, or may have gone, into."""

    key: UnitKey
    kind: str | None
    use: MaterialUse


@dataclass(frozen=True, slots=True)
class WhereUsed:
    """Every unit that a lot can have touched.

    Attributes
    ----------
    lot : str
        As asked: a lot, or a supplier's lot that several lots came from.
    lots : tuple of str
        The lots it stands for.
    uses : tuple of UnitUse
        In order of time, then serial. A panel and its boards are both listed.
    loads : tuple of Load
        Where and when the lots were loaded.
    watermark_lsn : int
        Everything written up to here is in the answer.
    """

    lot: str
    lots: tuple[str, ...]
    uses: tuple[UnitUse, ...]
    loads: "tuple[Load, ...]"
    watermark_lsn: int

    def serials(self, *evidence: Evidence) -> tuple[str, ...]:
        """Distinct serials in order, of the given classes (none given: of all)."""
        wanted = evidence or tuple(Evidence)
        return tuple(dict.fromkeys(u.key.serial for u in self.uses if u.use.evidence in wanted))


@dataclass(frozen=True, slots=True)
class Load:
    """A lot at a slot for a time: ``[start, end)``; None where not known to begin or to end."""

    lot: str
    part: str | None
    station: str | None
    slot: str | None
    start_ns: int | None
    end_ns: int | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CarrierSession:
    """A unit in a carrier for a time: only inside it does the carrier stand for the unit."""

    carrier: str
    nest: str | None
    start_ns: int | None
    end_ns: int | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """A cart with the unit went from one place to another."""

    cart: str | None
    time_ns: int
    from_location: str | None
    to_location: str | None


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test as reported, and the verdict that its own limits give.

    ``recomputed`` is PASS or FAIL from value and limits, None without them; it is never mixed
    with ``verdict``, which is what the tester said.
    """

    __test__ = False  # not a test case, whatever a test runner thinks of the name

    time_ns: int
    station: str | None
    test: str | None
    verdict: str | None
    recomputed: str | None
    value: float | None
    eng_unit: str | None
    low: float | None
    high: float | None
    visit: int | None
    evidence: Evidence
    attributes: str | None
    inherited_from: str | None


@dataclass(frozen=True, slots=True)
class VisionEvent:
    """What a camera saw of a unit."""

    time_ns: int
    start_ns: int | None
    end_ns: int | None
    camera: str | None
    station: str | None
    event: str | None
    step: str | None
    label: str | None
    confidence: float | None
    verdict: str | None
    model: str | None
    model_version: str | None
    clip: str | None
    visit: int | None
    evidence: Evidence
    attributes: str | None
    inherited_from: str | None
