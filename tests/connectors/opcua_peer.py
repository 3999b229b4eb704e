"""A foreign OPC UA server in a process of its own, that counts on demand."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = ("node-opcua-server@2", "node-opcua-nodesets@2")


def modules(folder):
    """Where node-opcua is: HISTORIAN_NODE_OPCUA, or installed here and now."""
    known = os.environ.get("HISTORIAN_NODE_OPCUA")
    if known:
        return known
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs Node.js with npm, or HISTORIAN_NODE_OPCUA: a node_modules with it")
    done = subprocess.run(
        ["npm", "install", "--silent", "--prefix", str(folder), *PACKAGES],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("needs the registry of npm, or HISTORIAN_NODE_OPCUA")
    return str(folder / "node_modules")


class NodeOpcua:
    """A server with node-opcua.

    Parameters
    ----------
    modules : str
        Folder of its packages.
    port, count : int
        Where it listens; how many variables it has.
    history : bool
    per_call : int
        Items in a call at most.
    """

    def __init__(self, modules, port, count, *, history=False, per_call=1000):
        self.port, self.count = port, count
        self._arguments = [str(port), str(count), "history" if history else "", str(per_call)]
        self._environment = {**os.environ, "NODE_PATH": modules}
        self._process = None

    async def start(self):
        """Return when it serves."""
        self._process = await asyncio.create_subprocess_exec(
            "node", str(HERE / "node_opcua_peer.js"), *self._arguments,
            stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=self._environment,
        )  # fmt: skip
        await self._until("ready")

    def tell(self, first, last, pause_ms):
        """Begin to write first .. last to every variable."""
        self._process.stdin.write(f"{first} {last} {pause_ms}\n".encode())

    async def write(self, first, last, pause_ms=100):
        """Write first .. last to every variable; it samples every 50 ms."""
        self.tell(first, last, pause_ms)
        await self.written(last)

    async def written(self, last):
        """Return when so far is written."""
        await self._until(f"written {last}")

    def hang(self):
        """Stop it without closing anything."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """Let it run again."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self):
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _until(self, wanted):
        while True:
            line = await asyncio.wait_for(self._process.stdout.readline(), 120)
            assert line, "the peer has ended"
            if line.decode().strip() == wanted:
                return
