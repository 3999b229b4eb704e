"""A broker that only sends: as many messages of QoS 1 as it is told, as fast as they are taken.

It takes next to nothing of its core, so that what a run tells is the client; and hangs up a moment
after all are acknowledged.
"""

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmarks import harness

WINDOW = 20_000  # messages sent and not acknowledged, at most
TOPICS = 1_000
_CHUNK = 500
_GRACE_S = 0.05  # for the client to hang up first


@contextmanager
def source(count: int, core: int) -> Iterator[int]:
    """Serve one client after another, each with ``count`` messages; gives the port."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(theirs, count, core), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(told: Connection, count: int, core: int) -> None:
    harness.pin({core})
    listener = socket.create_server(("127.0.0.1", 0))
    told.send(listener.getsockname()[1])
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _play(client, count)
        except OSError:
            pass  # the client has what it wanted
        finally:
            client.close()


def _play(client: socket.socket, count: int) -> None:
    said = client.recv(65536)
    five = said[said.index(b"MQTT") + 4] == 5
    client.sendall(b"\x20\x03\0\0\0" if five else b"\x20\x02\0\0")
    said = client.recv(65536)
    client.sendall(b"\x90" + (b"\x04" + said[2:4] + b"\0" if five else b"\x03" + said[2:4]) + b"\1")
    chunks = [_chunk(k, five) for k in range(0, 60_000, _CHUNK)]
    sent = acked = 0
    rest = b""
    while acked < count:
        while sent < count and sent - acked <= WINDOW:
            client.sendall(chunks[sent // _CHUNK % len(chunks)])
            sent += _CHUNK
            if sent - acked > WINDOW // 2:
                break
        said = client.recv(1 << 20)
        if not said:
            return
        whole, rest = _packets(rest + said)
        acked += whole
    client.settimeout(_GRACE_S)
    client.recv(1)


def _packets(data: bytes) -> tuple[int, bytes]:
    """PUBACKs in it, and what is not whole."""
    at = count = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        count += data[at] == 0x40
        at += 2 + data[at + 1]
    return count, data[at:]


@contextmanager
def publisher(port: int, count: int, values: int, core: int) -> Iterator[Callable[[], None]]:
    """Have a process ready to send ``count`` messages of so many values; gives what starts it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_publish, args=(theirs, port, count, values, core), daemon=True
    )
    process.start()
    try:
        ours.recv()
        yield lambda: ours.send(None)
    finally:
        process.kill()
        process.join()


def _publish(told: Connection, port: int, count: int, values: int, core: int) -> None:
    harness.pin({core})
    chunks = [_chunk(k, False, values) for k in range(0, min(count, 60_000), _CHUNK)]
    told.send(None)
    told.recv()
    with socket.create_connection(("127.0.0.1", port)) as broker:
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broker.sendall(b"\x10\x11\0\4MQTT\4\2\0\0\0\5bench")
        assert broker.recv(4) == b"\x20\2\0\0", "the broker takes us"
        sent = acked = 0
        rest = b""
        while acked < count:
            if sent < count and sent - acked < 2 * _CHUNK:
                broker.sendall(chunks[sent // _CHUNK % len(chunks)])
                sent += _CHUNK
                continue
            whole, rest = _packets(rest + broker.recv(1 << 16))
            acked += whole
        broker.sendall(b"\xe0\0")


def _chunk(first: int, five: bool, values: int = 1) -> bytes:
    out = []
    for k in range(first, first + _CHUNK):
        topic = b"plant/line1/tag%04d" % (k % TOPICS)
        body = len(topic).to_bytes(2, "big") + topic + (k % 60_000 + 1).to_bytes(2, "big")
        body += b"\0" if five else b""
        held = b"%.3f" % (20 + k % 977 / 100)
        if values > 1:
            held = b"{%b}" % b",".join(b'"t%02d":%b' % (n, held) for n in range(values))
        body += b'{"ts":%d,"v":%b}' % (1_700_000_000_000 + k, held)
        out.append(b"\x32" + length(len(body)) + body)
    return b"".join(out)


def length(number: int) -> bytes:
    """Remaining length of a packet below 2 MiB (MQTT 5, 1.5.5)."""
    low, high = number & 127, number >> 7
    return bytes([low]) if not high else bytes([low | 128]) + length(high)
