"""Columns of the kinds of events that conventions give, as docs/events.md has them, in order."""

from storage_engine.sample import Column, ValueType

_F = ValueType.FLOAT64
_I = ValueType.INT64
_S = ValueType.SYMBOL
_T = ValueType.TEXT


def _kind(**columns: ValueType) -> tuple[Column, ...]:
    columns |= {"source": _S, "mode": _S, "voids": _T, "attributes": _T}
    return tuple(Column(name, type_) for name, type_ in columns.items())


KINDS: dict[str, tuple[Column, ...]] = {
    "unit_created": _kind(unit=_T, product=_S, unit_kind=_S, order=_S, parent=_T, position=_I),
    "unit_arrived": _kind(unit=_T, station=_S, nest=_S, carrier=_T),
    "work_started": _kind(unit=_T, station=_S, nest=_S, recipe=_S),
    "work_completed": _kind(unit=_T, station=_S, nest=_S, verdict=_S),
    "unit_departed": _kind(unit=_T, station=_S, nest=_S, carrier=_T, verdict=_S),
    "material_loaded": _kind(lot=_T, part=_S, supplier_lot=_T, station=_S, slot=_S, quantity=_F),
    "material_unloaded": _kind(lot=_T, station=_S, slot=_S, quantity=_F),
    "material_consumed": _kind(
        unit=_T, lot=_T, part=_S, station=_S, slot=_S, quantity=_F, position=_I
    ),
    "material_removed": _kind(unit=_T, lot=_T, part=_S, station=_S, quantity=_F, position=_I),
    "carrier_loaded": _kind(carrier=_T, unit=_T, nest=_S, station=_S),
    "carrier_unloaded": _kind(carrier=_T, unit=_T, nest=_S, station=_S),
    "test_result": _kind(
        unit=_T, station=_S, test=_S, verdict=_S, value=_F, eng_unit=_S, low=_F, high=_F
    ),
    "vision_event": _kind(
        camera=_S,
        station=_S,
        unit=_T,
        event=_S,
        step=_S,
        label=_S,
        confidence=_F,
        verdict=_S,
        model=_S,
        model_version=_S,
        start_ns=_I,
        end_ns=_I,
        clip=_T,
    ),
    "meter_read": _kind(meter=_S, register=_F),
    "station_state": _kind(station=_S, state=_S, reason=_S),
}
