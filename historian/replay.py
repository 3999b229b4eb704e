"""Plays recordings into a running server, the whole way: source, collector, spool, server, store.

nist_smstestbed goes through a real OPC UA server, skab through a real MQTT broker. A play ends
when the server has stored all of it: behind the samples of a recording comes one of the tag
``replay/<recording>/played``, and what the server has of it, it has of everything before.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from connectors.connector import Clock
from connectors.replay.mqtt_player import MqttPlayer, mqtt_settings
from connectors.replay.opcua_player import NAMESPACE, PLAYED, OpcUaPlayer, node_address
from connectors.replay.recording import find_recording
from connectors.replay.shdr import ShdrRecording
from connectors.replay.skab import SkabRecording
from historian.collector.supervisor import ChildStatus, Supervisor
from historian.replay_collector import NAME, collector_config, collector_process
from historian.replay_compare import Held, Sample, differences
from historian.replay_server import ReplayServer

OPCUA_SOURCE = "replay-opcua"
MQTT_SOURCE = "replay-mqtt"
_POLL_S = 0.2

AnyRecording = ShdrRecording | SkabRecording


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to play and where to.

    Attributes
    ----------
    data : Path
        Folder of the recordings.
    recordings : tuple of str
        Names, see :func:`connectors.replay.recording.find_recording`.
    server_url : str
    token_file : Path
    speed : float or None
        Times as fast as recorded; None: flat out.
    verify : bool
        Read everything back and compare.
    work : Path or None
        Folder of the collector's configuration and spool; None: a temporary one.
    broker : str
        ``auto``, ``mosquitto`` or ``embedded``.
    """

    data: Path
    recordings: tuple[str, ...]
    server_url: str
    token_file: Path
    speed: float | None = None
    verify: bool = False
    work: Path | None = None
    broker: str = "auto"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of one recording.

    Attributes
    ----------
    recording : str
    read, sent : int
        Samples in the recording, and given to the source's server or broker.
    stored : int
        Revisions that the server holds afterwards.
    duplicates : int
        Samples sent that the server held already, equal.
    rejected : int
        Rows of the source that the server refused meanwhile.
    unchanged : bool
        Whether the server holds exactly what it held before the play.
    differences : tuple of str or None
        Empty when the store equals the recording; None when nobody compared.
    """

    recording: str
    read: int
    sent: int
    stored: int
    duplicates: int
    rejected: int
    unchanged: bool
    differences: tuple[str, ...] | None


class ReplayProgress(Protocol):
    """Who watches a replay."""

    def stage(self, text: str, total: int) -> None:
        """Something of so many parts begins."""
        ...

    def advance(self, count: int) -> None:
        """So many parts more are done."""
        ...

    def collector(self, status: ChildStatus) -> None:
        """Tell of the collector process; its pid and count of starts are live."""
        ...


def tag_name(recording: str, item: str) -> str:
    """Name of the tag that an item is stored under."""
    return f"replay/{recording}/{item}"


class Replay:
    """One run.

    Parameters
    ----------
    request : ReplayRequest
    clock : Clock
    progress : ReplayProgress
    """

    def __init__(self, request: ReplayRequest, clock: Clock, progress: ReplayProgress) -> None:
        self._request = request
        self._clock = clock
        self._progress = progress
        self._server = ReplayServer(request.server_url, request.token_file)

    async def run(self) -> tuple[ReplayReport, ...]:
        """Play everything.

        Raises
        ------
        ConfigError
            If a recording is not there.
        ServerRefused
            If the server cannot be reached or does not take the tags.
        """
        recordings = await asyncio.to_thread(self._open_recordings)
        with tempfile.TemporaryDirectory(prefix="historian-replay-") as temporary:
            work = self._request.work or Path(temporary)
            async with self._server:
                await self._server.check()
                return await self._run(recordings, work)

    def _open_recordings(self) -> tuple[AnyRecording, ...]:
        request = self._request
        self._progress.stage("reading what the recordings hold", len(request.recordings))
        found: list[AnyRecording] = []
        for name in request.recordings:
            path = find_recording(request.data, name)
            is_skab = path.is_dir() or path.name.endswith(".csv.gz")
            found.append(SkabRecording(path) if is_skab else ShdrRecording(path))
            self._progress.advance(1)
        return tuple(found)

    async def _run(
        self, recordings: Sequence[AnyRecording], work: Path
    ) -> tuple[ReplayReport, ...]:
        logs = [r for r in recordings if isinstance(r, ShdrRecording)]
        opcua = OpcUaPlayer(logs, self._clock) if logs else None
        mqtt = (
            MqttPlayer(self._clock, self._request.broker) if len(logs) < len(recordings) else None
        )
        await self._declare(recordings)
        collector: Supervisor | None = None
        try:
            sources: dict[str, tuple[str, Any]] = {}
            if opcua is not None:
                await opcua.start()
                sources[OPCUA_SOURCE] = ("opcua", _opcua_settings(opcua.url))
            if mqtt is not None:
                await mqtt.start()
                sources[MQTT_SOURCE] = ("mqtt", mqtt_settings(mqtt.port))
            collector = await self._start_collector(work, sources)
            if opcua is not None:
                await opcua.monitored()
            return tuple([await self._play_one(r, opcua, mqtt) for r in recordings])
        finally:
            for part in (collector, opcua, mqtt):
                if part is not None:
                    await part.stop()

    async def _declare(self, recordings: Sequence[AnyRecording]) -> None:
        total = sum(len(r.items) + 1 for r in recordings)
        self._progress.stage("declaring tags", total)
        for recording in recordings:
            for item in (*recording.items, PLAYED):
                source, address = _origin(recording, item.name)
                name = tag_name(recording.name, item.name)
                await self._server.declare_tag(name, item.type, source, address)
                self._progress.advance(1)

    async def _start_collector(self, work: Path, sources: dict[str, tuple[str, Any]]) -> Supervisor:
        text = collector_config(work, self._server.url, self._server.token_file, sources)
        file = work / "collector.toml"
        await asyncio.to_thread(file.write_text, text, encoding="utf-8")
        collector = collector_process(file, self._clock)
        await collector.start()
        self._progress.collector(collector.status[NAME])
        return collector

    async def _play_one(
        self, recording: AnyRecording, opcua: OpcUaPlayer | None, mqtt: MqttPlayer | None
    ) -> ReplayReport:
        source, _ = _origin(recording, "")
        before = await self._read_back(recording, f"{recording.name}: reading what is there")
        rejected_before = await self._server.rejected_rows(source)
        self._progress.stage(f"{recording.name}: playing", recording.row_count)
        if isinstance(recording, SkabRecording):
            assert mqtt is not None
            sent = await self._play_messages(mqtt, recording)
        else:
            assert opcua is not None
            sent = await opcua.play(recording, self._request.speed, self._progress.advance)
            await self._stored(recording, await opcua.say_played(recording, sent))
        rejected = await self._server.rejected_rows(source) - rejected_before
        after = await self._read_back(recording, f"{recording.name}: reading back")
        stored = sum(len(held.revisions) for held in after.values())
        new = stored - sum(len(held.revisions) for held in before.values())
        return ReplayReport(
            recording=recording.name,
            read=recording.row_count,
            sent=sent,
            stored=stored,
            duplicates=sent - new - rejected,
            rejected=rejected,
            unchanged=before == after,
            differences=await self._compare(recording, after) if self._request.verify else None,
        )

    async def _play_messages(self, mqtt: MqttPlayer, recording: SkabRecording) -> int:
        async def stored(time_ns: int) -> None:
            await self._stored(recording, time_ns)

        return await mqtt.play(recording, self._request.speed, self._progress.advance, stored)

    async def _stored(self, recording: AnyRecording, time_ns: int) -> None:
        """Return when the server has the ``played`` of this time."""
        tag = tag_name(recording.name, PLAYED.name)
        while await self._server.latest_ns(tag) < time_ns:
            await self._clock.sleep(_POLL_S)

    async def _read_back(self, recording: AnyRecording, text: str) -> dict[str, Held]:
        self._progress.stage(text, len(recording.items))
        found: dict[str, Held] = {}
        for item in recording.items:
            found[item.name] = await self._server.held(tag_name(recording.name, item.name))
            self._progress.advance(1)
        return found

    async def _compare(self, recording: AnyRecording, held: dict[str, Held]) -> tuple[str, ...]:
        self._progress.stage(f"{recording.name}: comparing", len(recording.items))
        played = await asyncio.to_thread(_by_item, recording)
        found: list[str] = []
        for item, samples in zip(recording.items, played, strict=True):
            found += differences(item.name, samples, held[item.name])
            self._progress.advance(1)
        return tuple(found)


def _by_item(recording: AnyRecording) -> list[list[Sample]]:
    samples: list[list[Sample]] = [[] for _ in recording.items]
    for node, timestamp_ns, quality, value in recording.rows():
        samples[node].append((timestamp_ns, quality, value))
    return samples


def _origin(recording: AnyRecording, item: str) -> tuple[str, str]:
    """Source and address of an item."""
    if isinstance(recording, SkabRecording):
        return MQTT_SOURCE, f"{recording.name}/{item}"
    return OPCUA_SOURCE, node_address(recording.name, item)


def _opcua_settings(url: str) -> dict[str, object]:
    return {
        "url": url,
        "security": "none",
        "publishing_interval_ms": 100.0,
        "browse": [{"root": "i=85", "namespace": NAMESPACE}],
    }
