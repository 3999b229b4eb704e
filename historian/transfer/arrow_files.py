"""Parquet and Arrow IPC files. Here alone this floor knows pyarrow, an optional extra."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from historian.errors import RequestInvalid
from historian.transfer.rows import RawChunk
from storage_engine.sample import (
    DTYPES,
    AnyArray,
    ColumnData,
    EventBatch,
    SampleBatch,
    ValueType,
)

_STRINGS = (ValueType.SYMBOL, ValueType.TEXT)
_METADATA = b"historian"
_CHUNK_ROWS = 65_536


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise RequestInvalid(
            "cannot read or write Parquet and Arrow: got no pyarrow, want "
            "lighthouse-historian[arrow] installed, or the format csv",
            got="no pyarrow",
            want="lighthouse-historian[arrow]",
        ) from None
    return pa


class ArrowWriter:
    """A piece as Parquet or as an Arrow IPC file; every batch is a row group.

    Parameters
    ----------
    path : Path
        Made anew.
    parquet : bool
        Otherwise Arrow IPC.
    """

    def __init__(self, path: Path, *, parquet: bool) -> None:
        self._arrow = _pyarrow()
        self._path = path
        self._parquet = parquet
        self._writer: Any = None

    def write_samples(self, batch: SampleBatch) -> None:
        """Write rows: tag, timestamp, quality, value."""
        pa = self._arrow
        tags = pa.DictionaryArray.from_arrays(
            pa.array(batch.address_index, pa.int32()), pa.array(list(batch.addresses), pa.string())
        )
        self._write(
            {
                "tag": tags.cast(pa.string()),
                "timestamp": _times(pa, batch.timestamp_ns),
                "quality": pa.array(batch.quality, pa.uint32()),
                "value": _array(pa, batch.value),
            },
            {"samples": batch.value.type.name.lower()},
        )

    def write_events(self, batch: EventBatch) -> None:
        """Write rows: timestamp, id, then the kind's columns."""
        pa = self._arrow
        ids = [bytes(one) for one in batch.event_id]
        arrays = {
            "timestamp": _times(pa, batch.timestamp_ns),
            "id": pa.array(ids, pa.binary(16)),
        }
        arrays |= {c.name: _array(pa, d) for c, d in zip(batch.columns, batch.data, strict=True)}
        self._write(arrays, {"events": batch.kind})

    def _write(self, arrays: dict[str, Any], facts: dict[str, str]) -> None:
        pa = self._arrow
        schema = pa.schema([(name, array.type) for name, array in arrays.items()])
        schema = schema.with_metadata({_METADATA: json.dumps(facts).encode()})
        batch = pa.record_batch(list(arrays.values()), schema=schema)
        if self._writer is None:
            self._writer = self._open(schema)
        if self._parquet:
            self._writer.write_batch(batch, row_group_size=max(len(batch), 1))
        else:
            self._writer.write_batch(batch)

    def _open(self, schema: Any) -> Any:
        pa = self._arrow
        if not self._parquet:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            return pa.ipc.new_file(str(self._path), schema, options=options)
        # A dictionary takes all NaNs for one, and 0.0 for -0.0: floats stay without.
        coded = [f.name for f in schema if f.type in (pa.string(), pa.binary())]
        return pa.parquet.ParquetWriter(
            str(self._path), schema, compression="zstd", use_dictionary=coded, version="2.6"
        )

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()


def _times(pa: Any, timestamp_ns: AnyArray) -> Any:
    return pa.array(timestamp_ns, pa.int64()).view(pa.timestamp("ns", tz="UTC"))


def _array(pa: Any, column: ColumnData) -> Any:
    if column.type in _STRINGS or column.type is ValueType.BYTES:
        raw = [_encoded(value) for value in column.objects()]
        array = pa.array(raw, pa.binary())
        # As they stand: text of ours may hold half a surrogate pair, which is no UTF-8.
        return array if column.type is ValueType.BYTES else array.view(pa.string())
    nulls = None if column.valid is None else ~column.valid
    return pa.array(np.ascontiguousarray(column.value), mask=nulls, from_pandas=False)


def _encoded(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    assert value is None or isinstance(value, bytes), "a string column"
    return value


def read_arrow(path: Path, *, skip: int = 0) -> Iterator[RawChunk]:
    """Read a Parquet or Arrow IPC file (or stream) in chunks.

    Parameters
    ----------
    path : Path
    skip : int
        Rows to pass over.

    Yields
    ------
    RawChunk
        Times as int64 nanoseconds; columns of a type that we have none for are left out.

    Raises
    ------
    RequestInvalid
        When it is no such file, or pyarrow is missing.
    """
    pa = _pyarrow()
    row = 0
    try:
        for batch in _batches(pa, path):
            begin = min(max(skip - row, 0), len(batch))
            row += begin
            if begin < len(batch):
                part = batch.slice(begin)
                columns = {
                    name: found
                    for name, array in zip(part.schema.names, part.columns, strict=True)
                    if (found := _column(pa, array)) is not None
                }
                yield RawChunk(columns, range(row + 1, row + 1 + len(part)), len(part))
                row += len(part)
    except pa.ArrowException as error:
        message = f"cannot read {path.name}: {error}"
        raise RequestInvalid(message[:500], got=path.name, where=path.name) from error


def _batches(pa: Any, path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        with pa.parquet.ParquetFile(str(path)) as file:
            strings = [f.name for f in file.schema_arrow if f.type in (pa.string(), pa.binary())]
        # As dictionaries: each text is made once, however many rows have it.
        with pa.parquet.ParquetFile(str(path), read_dictionary=strings) as file:
            yield from file.iter_batches(_CHUNK_ROWS)
        return
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
            return
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _column(pa: Any, array: Any) -> ColumnData | None:
    """Nullable column of our nearest type, or None."""
    types = pa.types
    if types.is_dictionary(array.type):
        if _is_string(types, array.type.value_type):
            return _strings(pa, array)
        array = array.cast(array.type.value_type)
    kind = array.type
    if types.is_timestamp(kind):
        array = array.cast(pa.timestamp("ns", tz=kind.tz)).view(pa.int64())
        return _numbers(array, ValueType.INT64)
    if _is_string(types, kind):
        return _strings(pa, array.dictionary_encode())
    if types.is_boolean(kind):
        return _numbers(array, ValueType.BOOL)
    if types.is_float32(kind):
        return _numbers(array, ValueType.FLOAT32)
    if types.is_floating(kind):
        return _numbers(array.cast(pa.float64()), ValueType.FLOAT64)
    if kind == pa.uint64():
        return _numbers(array, ValueType.UINT64)
    if types.is_integer(kind):
        return _numbers(array.cast(pa.int64()), ValueType.INT64)
    return None


def _numbers(array: Any, type_: ValueType) -> ColumnData:
    valid = _valid(array)
    if valid is not None:
        fill = False if type_ is ValueType.BOOL else 0
        array = array.fill_null(fill)
    value = array.to_numpy(zero_copy_only=False).astype(DTYPES[type_], copy=False)
    return ColumnData(type_, value, valid)


def _is_string(types: Any, kind: Any) -> bool:
    """Whether values are texts or bytes."""
    texts = types.is_string(kind) or types.is_large_string(kind)
    raw = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return bool(texts or raw)


def _strings(pa: Any, array: Any) -> ColumnData:
    """Texts or bytes of a dictionary, each distinct one made once."""
    kind = array.type.value_type
    held = array.dictionary
    type_ = ValueType.BYTES
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        type_ = ValueType.SYMBOL
        held = held.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary())
    raw = held.to_pylist()
    distinct = np.empty(len(raw) + 1, np.object_)
    distinct[-1] = b"" if type_ is ValueType.BYTES else ""
    if raw:
        texts = raw if type_ is ValueType.BYTES else [_decoded(one) for one in raw]
        distinct[:-1] = texts
    codes = array.indices.fill_null(len(raw)).to_numpy(zero_copy_only=False)
    return ColumnData(type_, distinct[codes], _valid(array))


def _decoded(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "surrogatepass")


def _valid(array: Any) -> Any:
    if array.null_count == 0:
        return None
    return array.is_valid().to_numpy(zero_copy_only=False)
