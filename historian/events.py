"""The kinds of events the plant may record, with their columns. Kinds and columns only grow.

Names follow IPC-CFX, ISA-95 and EPCIS. Every kind also has the common columns. A correction is an
event whose ``voids`` names the 32 hex digits of the id it voids; events are never replaced.
"""

from storage_engine.sample import Column, ValueType

_B = ValueType.BOOL
_F = ValueType.FLOAT64
_I = ValueType.INT64
_S = ValueType.SYMBOL
_T = ValueType.TEXT

COMMON: tuple[Column, ...] = (
    Column("source", _S),  # who reported it
    Column("mode", _S),  # production, test, simulated; null means production
    Column("voids", _T),  # id of the event that this one voids
    Column("attributes", _T),  # whatever else the source sent, as a JSON object
)


def _kind(**columns: ValueType) -> tuple[Column, ...]:
    return (*(Column(name, type_) for name, type_ in columns.items()), *COMMON)


EVENT_KINDS: dict[str, tuple[Column, ...]] = {
    # units: serial numbers are text, never a global dictionary
    "unit_created": _kind(unit=_T, product=_S, unit_kind=_S, order=_S, parent=_T, position=_I),
    "unit_arrived": _kind(unit=_T, station=_S, nest=_S, carrier=_T),
    "work_started": _kind(unit=_T, station=_S, nest=_S, recipe=_S),
    "work_completed": _kind(unit=_T, station=_S, nest=_S, verdict=_S),
    "unit_departed": _kind(unit=_T, station=_S, nest=_S, carrier=_T, verdict=_S),
    "panel_split": _kind(panel=_T, unit=_T, position=_I, station=_S),
    # materials at slots; a reel is a lot
    "material_loaded": _kind(lot=_T, part=_S, supplier_lot=_T, station=_S, slot=_S, quantity=_F),
    "material_unloaded": _kind(lot=_T, station=_S, slot=_S, quantity=_F),
    "material_consumed": _kind(
        unit=_T, lot=_T, part=_S, station=_S, slot=_S, quantity=_F, position=_I
    ),
    "material_removed": _kind(unit=_T, lot=_T, part=_S, station=_S, quantity=_F, position=_I),
    # carriers and carts
    "carrier_loaded": _kind(carrier=_T, unit=_T, nest=_S, station=_S),
    "carrier_unloaded": _kind(carrier=_T, unit=_T, nest=_S, station=_S),
    "cart_moved": _kind(cart=_T, from_location=_S, to_location=_S, unit=_T),
    # results
    "test_result": _kind(
        unit=_T, station=_S, test=_S, verdict=_S, value=_F, eng_unit=_S, low=_F, high=_F
    ),
    "vision_event": _kind(
        camera=_S,
        station=_S,
        unit=_T,
        event=_S,  # step, defect, cycle, presence, safety, count
        step=_S,
        label=_S,
        confidence=_F,
        verdict=_S,  # OK, NOK, UNDECIDED
        model=_S,
        model_version=_S,
        start_ns=_I,
        end_ns=_I,
        clip=_T,
    ),
    # energy
    "meter_read": _kind(meter=_S, register=_F),
    "meter_declared": _kind(
        meter=_S, reason=_S, old_register=_F, new_register=_F
    ),  # reset, replaced
    # alarms and other events of a source; names follow OPC UA Part 9
    "alarm": _kind(
        event_type=_S,
        node=_T,  # what it is about
        source_name=_S,
        message=_T,
        severity=_I,  # 1 to 1000
        receive_ns=_I,
        condition=_T,
        condition_name=_S,
        branch=_T,
        retain=_B,
        enabled=_B,
        condition_quality=_I,
        comment=_T,
        user=_S,
        acked=_B,
        confirmed=_B,
        active=_B,
        state=_S,
        suppressed=_B,
    ),
    "source_event": _kind(
        event_type=_S, node=_T, source_name=_S, message=_T, severity=_I, receive_ns=_I
    ),
    # stations and the house itself
    "station_state": _kind(station=_S, state=_S, reason=_S),
    "source_state": _kind(collector=_S, link=_S, detail=_T, clock_offset_ns=_I),
    "gap": _kind(collector=_S, address=_T, start_ns=_I, end_ns=_I, count=_I, reason=_T),
    "quarantine": _kind(address=_T, reason=_T, payload=_T),
}
