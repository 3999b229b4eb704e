"""The unit of ingest: a columnar batch in an envelope (``docs/format/frame.md``).

The face of four rooms: ``frame_layout`` (types and constants), ``frame_columns`` (one column),
``frame_writer`` and ``frame_reader``.
"""

from storage_engine.frame_layout import (
    BYTES_MAX,
    FLAG_OBSERVED,
    FLAG_ONE_SHOT,
    ROWS_MAX,
    ZERO_ID,
    Declaration,
    Envelope,
    EventSection,
    Frame,
    Notice,
    SampleSection,
    SlotKind,
)
from storage_engine.frame_reader import decode_frame, peek_envelope, split_frames
from storage_engine.frame_writer import encode_frame

__all__ = [
    "BYTES_MAX",
    "FLAG_OBSERVED",
    "FLAG_ONE_SHOT",
    "ROWS_MAX",
    "ZERO_ID",
    "Declaration",
    "Envelope",
    "EventSection",
    "Frame",
    "Notice",
    "SampleSection",
    "SlotKind",
    "decode_frame",
    "encode_frame",
    "peek_envelope",
    "split_frames",
]
