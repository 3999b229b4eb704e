"""The server's own producer: what HTTP writers and the house itself store goes in frames, too."""

import hashlib
from collections.abc import Sequence

from storage_engine.engine import Appended, Engine
from storage_engine.frame import (
    FLAG_ONE_SHOT,
    Declaration,
    EventSection,
    SampleSection,
    decode_frame,
    encode_frame,
)

SOURCE = "http"


class OwnProducer:
    """Numbers the server's frames; a slot is the stream's id. Not safe from several threads.

    Parameters
    ----------
    engine : Engine
        Open for writing.
    now_ns : int
        Now; the epoch, unless the clock fell back behind the epoch before.

    Notes
    -----
    Its id follows from the store, so that the bindings of earlier epochs are let go.
    """

    def __init__(self, engine: Engine, now_ns: int) -> None:
        self._engine = engine
        self.id = hashlib.blake2b(engine.incarnation, digest_size=16, person=b"lh-own").digest()
        before = engine.producer(self.id)
        self._epoch = now_ns if before is None else max(now_ns, before.epoch + 1)
        self._crc = 0 if before is None else before.crc
        self._sequence = 0
        self._bound: set[int] = set()

    def append(
        self,
        declarations: Sequence[Declaration],
        samples: Sequence[SampleSection],
        events: Sequence[EventSection],
    ) -> Appended:
        """Append one authoritative frame; durable when its lsn is.

        Parameters
        ----------
        declarations : sequence of Declaration
            One per stream that the sections use; those known are left out of the frame.
        samples, events : sequence
            Sections whose slots are stream ids.
        """
        fresh = [d for d in declarations if d.slot not in self._bound]
        raw = encode_frame(
            incarnation=self._engine.incarnation,
            producer_id=self.id,
            epoch=self._epoch,
            sequence=self._sequence + 1,
            previous_crc=self._crc,
            flags=0,
            declarations=fresh,
            samples=samples,
            events=events,
            notices=(),
        )
        frame = decode_frame(raw)
        if fresh:
            self._engine.bind(self.id, self._epoch, {d.slot: d.slot for d in fresh})
            self._bound.update(d.slot for d in fresh)
        appended = self._engine.append(frame)
        self._sequence += 1
        self._crc = frame.envelope.crc
        return appended

    def append_once(
        self,
        producer_id: bytes,
        epoch: int,
        declarations: Sequence[Declaration],
        samples: Sequence[SampleSection],
        events: Sequence[EventSection],
    ) -> Appended:
        """Append the only frame of a producer made for one idempotency key.

        Parameters
        ----------
        producer_id : bytes
            From the key.
        epoch : int
            From the content, so that the same key with other content can be told.
        """
        raw = encode_frame(
            incarnation=self._engine.incarnation,
            producer_id=producer_id,
            epoch=epoch,
            sequence=1,
            previous_crc=0,
            flags=FLAG_ONE_SHOT,
            declarations=declarations,
            samples=samples,
            events=events,
            notices=(),
        )
        self._engine.bind(producer_id, epoch, {d.slot: d.slot for d in declarations})
        return self._engine.append(decode_frame(raw))
