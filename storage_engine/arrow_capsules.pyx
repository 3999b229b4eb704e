"""Door to kernels/arrow.h: samples as capsules of the Arrow C data interface, without a copy."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport free, malloc

from storage_engine.kernels.arrow cimport (
    ArrowArray,
    ArrowArrayStream,
    ArrowSchema,
    lh_arrow_array,
    lh_arrow_schema,
    lh_arrow_stream,
    lh_samples,
)

from storage_engine.sample import ValueType

# Formats of the interface: strings and bytes with 64-bit offsets.
cdef dict FORMATS = {
    ValueType.FLOAT64: b"g", ValueType.FLOAT32: b"f", ValueType.INT64: b"l",
    ValueType.UINT64: b"L", ValueType.BOOL: b"b", ValueType.SYMBOL: b"U",
    ValueType.TEXT: b"U", ValueType.BYTES: b"Z",
}


cdef void keep(void *owner) noexcept with gil:
    Py_INCREF(<object> owner)


cdef void drop(void *owner) noexcept with gil:
    Py_DECREF(<object> owner)


cdef void end_schema(object capsule) noexcept:
    cdef ArrowSchema *held = <ArrowSchema *> PyCapsule_GetPointer(capsule, b"arrow_schema")
    if held.release != NULL:
        held.release(held)
    free(held)


cdef void end_array(object capsule) noexcept:
    cdef ArrowArray *held = <ArrowArray *> PyCapsule_GetPointer(capsule, b"arrow_array")
    if held.release != NULL:
        held.release(held)
    free(held)


cdef void end_stream(object capsule) noexcept:
    cdef ArrowArrayStream *held = (
        <ArrowArrayStream *> PyCapsule_GetPointer(capsule, b"arrow_array_stream"))
    if held.release != NULL:
        held.release(held)
    free(held)


cdef const void *address(object array) except? NULL:
    """Where the items of a contiguous array begin; NULL for None."""
    cdef size_t begin
    if array is None:
        return NULL
    begin = array.__array_interface__["data"][0]
    return <const void *> begin


cdef int fill(
    lh_samples *out, object value_type, object time, object quality, object valid, object nulls,
    tuple values, list owner,
) except -1:
    """Describe arrays; ``owner`` takes what has to stay alive, and must itself be kept."""
    owner += [time, quality, valid, values]
    out.rows, out.nulls = len(time), nulls
    out.time, out.quality, out.valid = address(time), address(quality), address(valid)
    out.first = address(values[0])
    out.second = address(values[1]) if len(values) > 1 else NULL
    out.format = FORMATS[value_type]
    out.owner = <void *> owner
    out.keep, out.drop = keep, drop
    return 0


def schema_capsule(value_type):
    """Capsule ``arrow_schema`` of samples of a type."""
    cdef ArrowSchema *held = <ArrowSchema *> malloc(sizeof(ArrowSchema))
    cdef const char *format = FORMATS[value_type]
    if held == NULL or lh_arrow_schema(format, held) != 0:
        free(held)
        raise MemoryError
    return PyCapsule_New(held, b"arrow_schema", end_schema)


def array_capsules(value_type, time, quality, valid, nulls, values):
    """Capsules ``arrow_schema`` and ``arrow_array`` of samples.

    ``time`` and ``quality`` are contiguous int64 and uint32 arrays; ``valid`` has a bit per row, or
    is None; ``values`` has the value buffer, or offsets and bytes of strings.
    """
    cdef ArrowArray *held
    cdef lh_samples samples
    cdef list owner = []
    schema = schema_capsule(value_type)
    fill(&samples, value_type, time, quality, valid, nulls, values, owner)
    held = <ArrowArray *> malloc(sizeof(ArrowArray))
    if held == NULL or lh_arrow_array(&samples, held) != 0:
        free(held)
        raise MemoryError
    return schema, PyCapsule_New(held, b"arrow_array", end_array)


def stream_capsule(value_type, time, quality, valid, nulls, values):
    """Capsule ``arrow_array_stream`` of one batch; arguments as of :func:`array_capsules`."""
    cdef ArrowArrayStream *held
    cdef lh_samples samples
    cdef list owner = []
    fill(&samples, value_type, time, quality, valid, nulls, values, owner)
    held = <ArrowArrayStream *> malloc(sizeof(ArrowArrayStream))
    if held == NULL or lh_arrow_stream(&samples, held) != 0:
        free(held)
        raise MemoryError
    return PyCapsule_New(held, b"arrow_array_stream", end_stream)
