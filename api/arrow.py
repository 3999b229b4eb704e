"""Columns to an Arrow IPC stream: the only file that knows pyarrow, which is an optional extra."""

from typing import Any

import numpy as np

from api.errors import ApiError
from api.table import Table
from storage_engine.sample import AnyArray, ColumnData, ValueType

ARROW_TYPE = "application/vnd.apache.arrow.stream"


class ArrowStream:
    """Tables of the same columns as an Arrow IPC stream, a batch each.

    Parameters
    ----------
    facts : bytes
        JSON, kept as the schema's metadata ``historian``.
    first : Table
        The first piece; its columns give the schema. Times become ``timestamp[ns, UTC]``, values
        keep their type, symbols become dictionaries.
    sink : object, optional
        A file of pyarrow; None: what is written is given by :meth:`piece` and :meth:`end`.

    Raises
    ------
    ApiError
        ``arrow_missing`` (406) when pyarrow is not installed on the server.
    """

    closed = False  # as of a file

    def __init__(self, facts: bytes, first: Table, sink: Any = None) -> None:
        self._pa = _pyarrow()
        self._written: list[bytes] = []
        arrays = self._arrays(first)
        schema = self._pa.schema([(name, array.type) for name, array in arrays.items()])
        self._schema = schema.with_metadata({b"historian": facts})
        into = self._pa.PythonFile(self, mode="w") if sink is None else sink
        self._writer = self._pa.ipc.new_stream(into, self._schema)

    def write(self, data: Any) -> int:
        """As of a file; called by the writer."""
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """As of a file."""

    def piece(self, table: Table, told: bytes = b"") -> bytes:
        """One batch; ``told`` is what it says in its metadata ``historian``."""
        batch = self._pa.record_batch(list(self._arrays(table).values()), schema=self._schema)
        self._writer.write_batch(batch, {b"historian": told} if told else None)
        return self._taken()

    def end(self) -> bytes:
        """End of the stream, without which it is not whole."""
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        return data

    def _arrays(self, table: Table) -> dict[str, Any]:
        pa = self._pa
        absent = None if table.present is None else ~table.present
        heads, columns = (
            {name: _array(pa, column) for name, column in group.items()}
            for group in (table.heads, table.columns)
        )
        zone = pa.timestamp("ns", tz="UTC")
        times = {n: pa.array(column, zone, mask=absent) for n, column in table.times.items()}
        return heads | times | columns


def arrow_bytes(facts: bytes, table: Table) -> memoryview:
    """One table as an Arrow IPC stream of one batch; as :class:`ArrowStream`."""
    sink = _pyarrow().BufferOutputStream()
    stream = ArrowStream(facts, table, sink)
    stream.piece(table)
    stream.end()
    return memoryview(sink.getvalue())


def _pyarrow() -> Any:
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
    return pa


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
