"""Shared columns where no directory says which block lies where: blocks found one after the other.

An owner lies before every block that shares its columns, so who looks through a file from its
start has met it.
"""

from storage_engine.block import BlockIdentity, decode_column
from storage_engine.cache import ByteCache
from storage_engine.errors import CorruptData
from storage_engine.sample import AnyArray
from storage_engine.shared_columns import ColumnPlace

_KEPT_BYTES = 8 << 20


class FoundOwners:
    """Blocks found so far.

    Parameters
    ----------
    data : bytes
        The whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)
        self._places: dict[int, tuple[int, int, BlockIdentity]] = {}
        self._kept: ByteCache[AnyArray] = ByteCache(_KEPT_BYTES)

    def note(self, offset: int, size: int, identity: BlockIdentity) -> None:
        """Remember a sound block.

        Parameters
        ----------
        offset, size : int
            Its bytes in the file.
        identity : BlockIdentity
        """
        self._places[identity.block] = (offset, size, identity)

    def column(self, place: ColumnPlace) -> AnyArray:
        """Decode a column of a block found before.

        Parameters
        ----------
        place : ColumnPlace

        Returns
        -------
        array, shape (rows,)
            Read-only.

        Raises
        ------
        CorruptData
            The block was not found, or has no such column.
        """
        values = self._kept.get(place)
        if values is None:
            if place.block not in self._places:
                raise CorruptData(f"cannot decode shared: block {place.block} was not found")
            offset, size, identity = self._places[place.block]
            data = bytes(self._view[offset : offset + size])
            values = decode_column(data, identity, place, at=f"byte {offset}")
            self._kept.put(place, values, values.nbytes)
        return values
