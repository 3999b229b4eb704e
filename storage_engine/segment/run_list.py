"""The list of runs behind each block: what tells rows of several streams apart without a directory.

Layout: docs/format/segment.md, section Run list. A reader that has the directory steps over it.
"""

import struct
from dataclasses import dataclass

import numpy as np

from storage_engine.block import BlockIdentity
from storage_engine.checksum import crc32c
from storage_engine.codec import NUMBER_CODECS, decode_numbers, encode_numbers
from storage_engine.errors import CorruptData
from storage_engine.sample import UInt32Array

MAGIC = b"LHRL"
# magic, crc, block, runs, length of the streams' body, of the starts' body, their codecs, 0.
_HEAD = struct.Struct("<4sIIIIIBB6x")
_CRC_END = 8
_PACKED = 8
HEAD_BYTES = _HEAD.size
_RUNS_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs of one block.

    Attributes
    ----------
    block : int
    stream : uint32, shape (r,)
        Ascending.
    start : uint32, shape (r,)
        First row of each run.
    size : int
        Bytes on disk without padding.
    """

    block: int
    stream: UInt32Array
    start: UInt32Array
    size: int


def encode_run_list(identity: BlockIdentity, stream: UInt32Array, start: UInt32Array) -> bytes:
    """Bytes of the runs of a block.

    Parameters
    ----------
    identity : BlockIdentity
    stream, start : uint32, shape (r,)

    Returns
    -------
    bytes
    """
    codec_stream, streams = _steps(stream)
    codec_start, starts = _steps(start)
    facts = (identity.block, len(stream), len(streams), len(starts), codec_stream, codec_start)
    rest = _HEAD.pack(MAGIC, 0, *facts)[_CRC_END:] + streams + starts
    return MAGIC + crc32c(rest, identity.seed()).to_bytes(4, "little") + rest


def _steps(numbers: UInt32Array) -> tuple[int, bytes]:
    steps = np.array(numbers, np.uint32)
    steps[1:] -= numbers[:-1]
    body = NUMBER_CODECS[_PACKED].encode(steps)
    # The list is short: a search for what is smaller would cost more than it saves.
    return encode_numbers(steps) if body is None or len(body) > steps.nbytes else (_PACKED, body)


def decode_run_list(
    data: bytes | memoryview, incarnation: bytes, segment_id: int, *, at: str
) -> RunList:
    """Read the list at the start of ``data``; what follows it does not matter.

    Parameters
    ----------
    data : bytes
    incarnation : bytes
    segment_id : int
    at : str
        For messages.

    Returns
    -------
    RunList

    Raises
    ------
    CorruptData, UnsupportedFormat
        When checksum or structure do not hold.
    """
    view = memoryview(data)
    if len(view) < HEAD_BYTES or view[:4] != MAGIC:
        raise CorruptData(f"cannot read run list: got no {MAGIC.decode()}, at {at}", path=at)
    _, crc, block, runs, *sizes, codec_stream, codec_start = _HEAD.unpack_from(view)
    size = HEAD_BYTES + sum(sizes)
    if size > len(view) or not 0 < runs <= _RUNS_MAX:
        raise CorruptData(f"cannot read run list: got {runs} runs in {size} bytes, at {at}")
    middle = HEAD_BYTES + sizes[0]
    step = decode_numbers(codec_stream, view[HEAD_BYTES:middle], runs, np.dtype(np.uint32))
    stream = np.cumsum(step, dtype=np.uint32)
    identity = BlockIdentity(incarnation, segment_id, block, int(stream[0]))
    if crc32c(view[_CRC_END:size], identity.seed()) != crc:
        raise CorruptData(f"cannot read run list: got a bad crc32c, at {at}", path=at)
    step = decode_numbers(codec_start, view[middle:size], runs, np.dtype(np.uint32))
    return RunList(block, stream, np.cumsum(step, dtype=np.uint32), size)
