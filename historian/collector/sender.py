"""Sends spooled frames to the server in order; forgets one only when the server has stored it."""

import asyncio
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from connectors.backoff import delays_s
from connectors.connector import Clock
from historian.collector.intake import Intake
from historian.collector.spool import Reading, Spool
from storage_engine.frame import ZERO_ID, decode_frame, encode_frame, peek_envelope

CONTENT_TYPE = "application/vnd.lighthouse.frames"
_BODY_BYTES_MAX = 4 << 20
_BODY_BYTES_LEAST = 1 << 20  # a body below may wait for more
_PERIOD_S = 0.05  # between bodies that are small
_TIMEOUT_S = 60.0
_REFUSALS_MAX = 5  # times that one frame is offered before it is set aside
_DELAY_MAX_S = 10.0
_CHAIN_MAX = 100_000  # frames of one body at most, and some
_HAS_IT = {"stored", "duplicate"}

_log = logging.getLogger(__name__)


class _Later(Exception):  # noqa: N818 - never leaves this file
    """The server cannot take frames now."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _TooLarge(Exception):  # noqa: N818
    """The server takes smaller bodies only."""


class Sender:
    """Ships the spool of one collector.

    Parameters
    ----------
    spool : Spool
    intake : Intake
        Told what is stored, and which store it is.
    url : str
        Of the server.
    token_file : Path
        Read before each connection, so that a new token is found.
    clock : Clock
    rng : random.Random
        Jitter.
    """

    def __init__(
        self,
        spool: Spool,
        intake: Intake,
        url: str,
        token_file: Path,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._spool = spool
        self._intake = intake
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._clock = clock
        self._rng = rng
        self._incarnation = ZERO_ID
        self._body_bytes = _BODY_BYTES_MAX
        self._refusals = 0
        self._posted_s = -_PERIOD_S
        self._sent_as: dict[int, int] = {}  # crc in the spool -> crc of what was sent instead
        self.frames_stored = 0
        self.frames_set_aside = 0
        self.failure = ""  # why the server does not take frames now

    async def run(self) -> None:
        """Send until cancelled."""
        delays = self._delays()
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            while True:
                self._intake.spooled.clear()
                # Behind a frame that was refused the next one must not overtake it.
                body_bytes = 1 if self._refusals else self._body_bytes
                reading = await asyncio.to_thread(self._spool.read, body_bytes)
                if not reading.frames:
                    await self._intake.spooled.wait()
                    continue
                if sum(map(len, reading.frames)) < _BODY_BYTES_LEAST and not self._refusals:
                    reading = await self._more(reading)
                try:
                    if self._incarnation == ZERO_ID:
                        await self._learn(client)
                    await self._send(client, reading)
                except _TooLarge:
                    await self._shrink(reading)
                except (_Later, httpx.HTTPError, OSError) as error:
                    if not self.failure:
                        _log.warning("cannot send frames to %s: %s", self._url, _text(error))
                    self.failure = _text(error)
                    least = error.seconds if isinstance(error, _Later) else 0.0
                    await self._clock.sleep(max(next(delays), least))
                else:
                    if self.failure:
                        _log.info("the server takes frames again")
                    self.failure = ""
                    delays = self._delays()

    async def _more(self, reading: Reading) -> Reading:
        """Wait a moment for further frames, if frames come so often that the last are fresh."""
        wait_s = self._posted_s + _PERIOD_S - self._clock.monotonic_s()
        if wait_s > 0:
            await self._clock.sleep(min(wait_s, _PERIOD_S))
            reading = await asyncio.to_thread(self._spool.read, self._body_bytes)
        self._posted_s = self._clock.monotonic_s()
        return reading

    async def _learn(self, client: httpx.AsyncClient) -> None:
        response = await client.get(f"{self._url}/v1/store", headers=self._headers())
        answer = self._answer(response)
        self._use(str(answer.get("incarnation", "")))

    def _use(self, text: str) -> None:
        """Take over the store's incarnation; a store other than before needs all slots anew."""
        try:
            incarnation = bytes.fromhex(text)
        except ValueError:
            raise _Later(f"got incarnation {text!r}, want 32 hex digits") from None
        if len(incarnation) != len(ZERO_ID):
            raise _Later(f"got incarnation {text!r}, want 32 hex digits")
        if self._incarnation not in {ZERO_ID, incarnation}:
            _log.warning("the server has another store now: %s", text)
            self._intake.new_epoch()
        self._incarnation = self._intake.builder.incarnation = incarnation

    async def _send(self, client: httpx.AsyncClient, reading: Reading) -> None:
        frames = [self._addressed(frame) for frame in reading.frames]
        response = await client.post(
            f"{self._url}/v1/frames",
            content=b"".join(frames),
            headers={**self._headers(), "Content-Type": CONTENT_TYPE},
        )
        answer = self._answer(response)
        count, reason = _taken(reading, answer)
        if count:
            await asyncio.to_thread(self._spool.acknowledge, reading, count)
            self._intake.stored_up_to(reading.positions[count - 1])
            self.frames_stored += count
            self._refusals = 0
        if count == len(reading.frames):
            return
        before = self._incarnation
        self._use(str(answer.get("incarnation", "")))
        if before != self._incarnation:
            return  # addressed to the old store; the next attempt is not
        if count == 0:
            await self._refused(reading, reason)
        raise _Later(f"a frame was refused: {reason}")

    async def _refused(self, reading: Reading, reason: str) -> None:
        self._refusals += 1
        if self._refusals >= _REFUSALS_MAX:
            self._refusals = 0
            self.frames_set_aside += 1
            await asyncio.to_thread(self._spool.set_aside, reading, reason)

    async def _shrink(self, reading: Reading) -> None:
        """Send less at once; a single frame that is too large can never go."""
        if len(reading.frames) == 1:
            self.frames_set_aside += 1
            await asyncio.to_thread(self._spool.set_aside, reading, "larger than the server takes")
            return
        self._body_bytes = max(1, sum(map(len, reading.frames)) // 2)

    def _addressed(self, frame: bytes) -> bytes:
        """Give the frame as it is, or addressed to the store the server has now.

        The address is under the frame's checksum, which the next frame names: where one was made
        anew, the next one is, too, until an epoch begins its own chain.
        """
        envelope = peek_envelope(frame)
        if not envelope.previous_crc:
            self._sent_as.clear()
        before = self._sent_as.get(envelope.previous_crc, envelope.previous_crc)
        same = before == envelope.previous_crc
        if same and envelope.incarnation in {ZERO_ID, self._incarnation}:
            return frame
        held = decode_frame(frame)
        declared = {one.slot: one for one in held.declarations}
        if envelope.incarnation not in {ZERO_ID, self._incarnation}:
            # The store may be from before the frames that declared these slots.
            known = self._spool.declarations(envelope.epoch)
            used = {section.slot for section in held.events}
            used.update(slot for part in held.samples for slot in np.unique(part.slot).tolist())
            declared |= {slot: known[slot] for slot in used - declared.keys() if slot in known}
        made = encode_frame(
            incarnation=self._incarnation,
            producer_id=envelope.producer_id,
            epoch=envelope.epoch,
            sequence=envelope.sequence,
            previous_crc=before,
            flags=envelope.flags,
            declarations=[declared[slot] for slot in sorted(declared)],
            samples=held.samples,
            events=held.events,
            notices=held.notices,
        )
        self._sent_as[envelope.crc] = peek_envelope(made).crc
        while len(self._sent_as) > _CHAIN_MAX:
            del self._sent_as[next(iter(self._sent_as))]
        return made

    def _headers(self) -> dict[str, str]:
        token = self._token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise _TooLarge
        if response.status_code != httpx.codes.OK:
            try:
                seconds = min(60.0, max(0.0, float(response.headers.get("Retry-After", "0"))))
            except ValueError:
                seconds = 0.0
            raise _Later(f"got HTTP {response.status_code}: {response.text[:200]}", seconds)
        try:
            answer = response.json()
        except ValueError:
            raise _Later("got an answer that is no JSON") from None
        if not isinstance(answer, dict):
            raise _Later("got an answer that is no JSON object")
        return answer

    def _delays(self) -> Iterator[float]:
        return delays_s(self._rng, first_s=0.25, most_s=_DELAY_MAX_S)


def _taken(reading: Reading, answer: dict[str, Any]) -> tuple[int, str]:
    """How many frames from the first on the server has, and why the next one is not taken."""
    told: dict[tuple[str, str, str], dict[str, Any]] = {}
    nameless = ""
    for each in answer.get("frames") or ():
        if isinstance(each, dict):
            key = (str(each.get("producer")), str(each.get("epoch")), str(each.get("sequence")))
            told[key] = each
            if each.get("producer") is None:
                nameless = str(each.get("reason"))
    for count, (frame, position) in enumerate(zip(reading.frames, reading.positions, strict=True)):
        producer = peek_envelope(frame).producer_id.hex()
        one = told.get((producer, str(position[0]), str(position[1])), {})
        if one.get("status") not in _HAS_IT:
            return count, str(one.get("reason") or nameless or "the answer does not name it")
    return len(reading.frames), ""


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
