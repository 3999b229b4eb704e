"""Columns that equal one of another block of their segment: codec 16 of docs/format/segment.md.

Tags of one scan have the same times, mostly the same stamps, qualities and gaps. The first block
that has such a column **owns** it, others name the owner. An owner is never itself shared, so that
a column is at most one step away.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.codec import decode_numbers
from storage_engine.errors import CorruptData
from storage_engine.sample import AnyArray

SHARED = 16
_BODY = struct.Struct("<IBHI")
_BODY_BYTES_MIN = 48  # a column of fewer bytes costs little more than a reference
_USES_MAX = 255  # blocks that the damage of one block can take along
_KNOWN_MAX = 65_536  # columns a writer remembers, some 300 bytes each beside their bodies
_KNOWN_BYTES_MAX = 16 << 20  # of their bodies


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """One column of a segment.

    Attributes
    ----------
    block : int
    role, index : int
        As in the block's column table.
    mask : bool
        Its validity is meant, not its data.
    """

    block: int
    role: int
    index: int
    mask: bool


Resolve = Callable[[ColumnPlace], AnyArray]


def read_reference(body: bytes | memoryview, *, mask: bool) -> tuple[ColumnPlace, int]:
    """Read the body of codec 16.

    Parameters
    ----------
    body : bytes
    mask : bool
        It stands for a validity.

    Returns
    -------
    place : ColumnPlace
        The owner.
    crc : int
        crc32c of the decoded values.

    Raises
    ------
    CorruptData
    """
    if len(body) != _BODY.size:
        raise CorruptData(f"cannot decode shared: got {len(body)} bytes, want {_BODY.size}")
    block, role, index, crc = _BODY.unpack(body)
    return ColumnPlace(block, role, index, mask), crc


def take_shared(
    body: bytes | memoryview,
    like: AnyArray,
    *,
    mask: bool,
    block: int,
    resolve: Resolve | None,
) -> AnyArray:
    """Values of a shared column.

    Parameters
    ----------
    body : bytes
        Of codec 16.
    like : array, shape (rows,)
        Of the dtype and length that they must have; its values do not matter.
    mask : bool
        It stands for a validity.
    block : int
        The block that has the reference.
    resolve : callable or None
        Gives the owner's values; what it raises is passed on.

    Returns
    -------
    array, shape (rows,)
        Read-only where the owner's is.

    Raises
    ------
    CorruptData
        When the owner does not lie before, or has other values than the reference says.
    """
    place, crc = read_reference(body, mask=mask)
    if place.block >= block or resolve is None:
        raise CorruptData(f"cannot decode shared: got block {place.block} as owner, want one known")
    values = resolve(place)
    if values.dtype.itemsize != like.dtype.itemsize or len(values) != len(like):
        raise CorruptData(
            f"cannot decode shared: got {len(values)} values of {values.dtype} in block "
            f"{place.block}, want {len(like)} of {like.dtype}"
        )
    found = crc32c(plain_bytes(values))
    if found != crc:
        raise CorruptData(
            f"cannot decode shared: crc32c of the column in block {place.block} is {found:#010x}, "
            f"want {crc:#010x}"
        )
    return values.view(like.dtype)


@dataclass(slots=True)
class _Owner:
    block: int
    codec: int
    body: bytes
    uses: int = 0


class ColumnSharing:
    """What a writer of one segment knows of the columns it wrote; bounded.

    Parameters
    ----------
    known_max : int
        Columns remembered; the one used longest ago goes first.
    """

    def __init__(self, known_max: int = _KNOWN_MAX) -> None:
        self._known_max = known_max
        self._known: OrderedDict[tuple[int, ...], _Owner] = OrderedDict()
        self._bytes = 0
        # Decoded values of the owner used last, by role, index and mask: the next is mostly it.
        self._last: dict[tuple[int, ...], tuple[_Owner, AnyArray]] = {}

    def reference(self, place: ColumnPlace, values: AnyArray) -> bytes | None:
        """Body of codec 16 for a column, when an earlier block has an equal one.

        Parameters
        ----------
        place : ColumnPlace
            Of the column to be written.
        values : array, shape (n,)
            Contiguous.

        Returns
        -------
        bytes or None
        """
        crc = crc32c(plain_bytes(values))
        key = _key(place, values, crc)
        owner = self._known.get(key)
        if owner is None or owner.uses >= _USES_MAX or not self._has(key[:3], owner, values):
            return None
        self._known.move_to_end(key)
        owner.uses += 1
        return _BODY.pack(owner.block, place.role, place.index, crc)

    def _has(self, role: tuple[int, ...], owner: _Owner, values: AnyArray) -> bool:
        """Whether what is on disk is these values: a checksum alone finds candidates."""
        last = self._last.get(role)
        if last is not None and last[0] is owner:
            held = last[1]
        else:
            body = memoryview(owner.body)
            held = decode_numbers(owner.codec, body, len(values), values.dtype)
            self._last[role] = owner, held
        return np.array_equal(held.view(np.uint8), values.view(np.uint8))

    def keep(self, place: ColumnPlace, values: AnyArray, codec: int, body: bytes) -> None:
        """Remember a column that was written in full.

        Parameters
        ----------
        place : ColumnPlace
        values : array, shape (n,)
            Contiguous.
        codec : int
        body : bytes
            What it is on disk.
        """
        if len(body) < _BODY_BYTES_MIN:
            return
        key = _key(place, values, crc32c(plain_bytes(values)))
        before = self._known.pop(key, None)
        self._bytes += len(body) - (0 if before is None else len(before.body))
        self._known[key] = _Owner(place.block, codec, body)
        while len(self._known) > self._known_max or self._bytes > _KNOWN_BYTES_MAX:
            self._bytes -= len(self._known.popitem(last=False)[1].body)


def _key(place: ColumnPlace, values: AnyArray, crc: int) -> tuple[int, ...]:
    return place.role, place.index, place.mask, values.nbytes, crc


def plain_bytes(values: AnyArray) -> memoryview:
    """Values of a fixed size as their bytes; a view.

    Parameters
    ----------
    values : array, shape (n,)
        Contiguous.

    Returns
    -------
    memoryview of n * itemsize bytes
    """
    return values.view(np.uint8).data
