from storage_engine.sample import AnyArray, Int64Array, UInt32Array, ValueType

def schema_capsule(value_type: ValueType) -> object: ...
def array_capsules(
    value_type: ValueType,
    time: Int64Array,
    quality: UInt32Array,
    valid: AnyArray | None,
    nulls: int,
    values: tuple[AnyArray, ...],
) -> tuple[object, object]: ...
def stream_capsule(
    value_type: ValueType,
    time: Int64Array,
    quality: UInt32Array,
    valid: AnyArray | None,
    nulls: int,
    values: tuple[AnyArray, ...],
) -> object: ...
