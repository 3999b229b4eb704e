"""Columns to an Arrow IPC stream: the only file that knows pyarrow, which is an optional extra."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from api.errors import ApiError
from storage_engine.sample import AnyArray, ColumnData, Int64Array, ValueType

ARROW_TYPE = "application/vnd.apache.arrow.stream"


def arrow_bytes(
    facts: bytes,
    times: Mapping[str, Int64Array],
    columns: Mapping[str, AnyArray | ColumnData],
) -> bytes:
    """One record batch as an Arrow IPC stream.

    Parameters
    ----------
    facts : bytes
        JSON, kept as the schema's metadata ``historian``.
    times : mapping of str to int64, shape (n,)
        Become ``timestamp[ns, UTC]``.
    columns : mapping of str to array or ColumnData, n rows
        Keep their type; symbols become dictionaries.

    Returns
    -------
    bytes

    Raises
    ------
    ApiError
        ``arrow_missing`` (406) when pyarrow is not installed on the server.
    """
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ImportError:
        raise ApiError(
            406,
            "arrow_missing",
            "cannot answer in Arrow: the server has no pyarrow",
            want="application/json, or lighthouse-historian[arrow] installed on the server",
            where="header Accept",
        ) from None
    arrays: dict[str, Any] = {
        name: pa.array(column, type=pa.timestamp("ns", tz="UTC")) for name, column in times.items()
    }
    for name, column in columns.items():
        arrays[name] = _array(pa, column)
    schema = pa.schema([(name, array.type) for name, array in arrays.items()])
    batch = pa.record_batch(
        list(arrays.values()), schema=schema.with_metadata({b"historian": facts})
    )
    sink = pa.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _array(pa: Any, column: AnyArray | ColumnData) -> Any:
    if not isinstance(column, ColumnData):
        return pa.array(column, from_pandas=False)
    nulls = None if column.valid is None else ~column.valid
    if column.type in (ValueType.SYMBOL, ValueType.TEXT):
        strings = pa.array(column.objects(), type=pa.string())
        return strings.dictionary_encode() if column.type == ValueType.SYMBOL else strings
    if column.type == ValueType.BYTES:
        return pa.array(column.objects(), type=pa.binary())
    return pa.array(np.ascontiguousarray(column.value), mask=nulls, from_pandas=False)
