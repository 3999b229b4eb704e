"""Samples in order of arrival, from bound columns and one by one, as one batch a value type."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from connectors.columns import Rows
from storage_engine.sample import (
    DTYPES,
    AnyArray,
    ColumnData,
    SampleBatch,
    ValueType,
)

_Int64 = npt.NDArray[np.int64]
# Index, time, quality, value, valid.
_Part = tuple[_Int64, _Int64, npt.NDArray[np.uint32], AnyArray, npt.NDArray[np.bool_] | None]


class Samples:
    """Collects what metrics say; an address has one index for as long as this lives."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._addresses: list[str] = []
        self._rows = Rows()
        self._pieces: list[_Int64 | SampleBatch] = []
        self.count = 0
        self.newest_ns = 0

    def series(self, address: str) -> int:
        """Index of an address."""
        index = self._index.setdefault(address, len(self._addresses))
        if index == len(self._addresses):
            self._addresses.append(address)
        return index

    def bound(self, columns: _Int64, left: int) -> None:
        """Add the bound rows of ``decode.bind``; ``left`` of them are not."""
        if left:
            columns = columns[:, columns[0] >= 0]
        if columns.shape[1] == 0:
            return
        self._flush()
        self._pieces.append(columns[:4])
        self.count += columns.shape[1]
        self.newest_ns = int(columns[1, -1])

    def one(
        self, type_: ValueType, address: str, timestamp_ns: int, quality: int, value: object
    ) -> None:
        """Add a sample."""
        self._rows.sample(type_, address, timestamp_ns, quality, value)
        self.count += 1
        self.newest_ns = timestamp_ns

    def nulls(
        self, type_: ValueType, addresses: Sequence[str], timestamp_ns: int, quality: int
    ) -> None:
        """Add a sample without value for each address."""
        n = len(addresses)
        self._rows.samples(type_, addresses, [timestamp_ns] * n, [quality] * n, [None] * n)
        self.count += n

    def take(self) -> tuple[SampleBatch, ...]:
        """Everything collected; empty afterwards."""
        self._flush()
        parts: dict[ValueType, list[_Part]] = {}
        run: list[_Int64] = []
        for piece in self._pieces:
            if isinstance(piece, SampleBatch):
                _split(run, parts)
                index = np.array([self.series(a) for a in piece.addresses], np.int64)
                value = piece.value
                parts.setdefault(value.type, []).append(
                    (
                        index[piece.address_index],
                        piece.timestamp_ns,
                        piece.quality,
                        value.value,
                        value.valid,
                    )
                )
            else:
                run.append(piece)
        _split(run, parts)
        self._pieces, self.count = [], 0
        return tuple(self._batch(type_, found) for type_, found in parts.items())

    def _flush(self) -> None:
        if self._rows.count:
            for batch in self._rows.take():
                assert isinstance(batch, SampleBatch), "no events are collected here"
                self._pieces.append(batch)

    def _batch(self, type_: ValueType, parts: list[_Part]) -> SampleBatch:
        used, inverse = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
        valid = None
        if any(part[4] is not None for part in parts):
            masks = (np.ones(len(p[0]), np.bool_) if p[4] is None else p[4] for p in parts)
            valid = np.concatenate(list(masks))
        return SampleBatch(
            tuple(self._addresses[k] for k in used.tolist()),
            inverse.astype(np.int32),
            np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] for part in parts]),
            ColumnData(type_, np.concatenate([part[3] for part in parts]), valid),
        )


def _split(run: list[_Int64], parts: dict[ValueType, list[_Part]]) -> None:
    """Part bound columns by value type, and forget them."""
    if not run:
        return
    whole = run[0] if len(run) == 1 else np.concatenate(run, axis=1)
    run.clear()
    for code in np.bincount(whole[3]).nonzero()[0].tolist():
        type_ = ValueType(code)
        mine = whole[:, whole[3] == code]
        quality = np.zeros(mine.shape[1], np.uint32)
        parts.setdefault(type_, []).append(
            (mine[0], mine[1], quality, _values(type_, mine[2]), None)
        )


def _values(type_: ValueType, bits: _Int64) -> AnyArray:
    values: AnyArray
    if type_ is ValueType.FLOAT32:
        values = bits.astype(np.uint32).view(np.float32)
    elif type_ is ValueType.BOOL:
        values = np.not_equal(bits, 0)
    else:
        values = np.ascontiguousarray(bits).view(DTYPES[type_])
    return values
