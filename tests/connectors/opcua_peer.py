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


def node_opcua(folder):
    """How to start a server with node-opcua: command, environment."""
    return ["node", str(HERE / "node_opcua_peer.js")], {"NODE_PATH": modules(folder)}


def open62541(folder):
    """How to start a server with open62541, from sources (HISTORIAN_OPEN62541, or fetched now)."""
    if not all(map(shutil.which, ("cmake", "make", "cc", "git"))):
        pytest.skip("needs cmake, make, a C compiler and git")
    known = os.environ.get("HISTORIAN_OPEN62541")
    source, made = Path(known or folder / "open62541"), folder / "made"
    if not known:
        address = "https://github.com/open62541/open62541"
        if not done("git", "clone", "-q", "--depth", "1", address, str(source)):
            pytest.skip("needs GitHub, or HISTORIAN_OPEN62541: a checkout of open62541")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DUA_NAMESPACE_ZERO=REDUCED"]
    assert done("cmake", "-S", str(source), "-B", str(made), *options)
    assert done("make", "-C", str(made), "-j2", "open62541")
    folders = [source / "include", made / "src_generated", source / "plugins/include"]
    program, library = folder / "open62541_peer", made / "bin/libopen62541.a"
    own = [str(HERE / "open62541_peer.c"), *(f"-I{each}" for each in folders), str(library)]
    assert done("cc", "-O1", "-o", str(program), *own, "-lpthread", "-lm")
    return [str(program)], {}


def done(*command):
    """Whether a command succeeds."""
    return not subprocess.run(command, capture_output=True, check=False).returncode


class Peer:
    """A server in a process of its own.

    Parameters
    ----------
    how : tuple
        Command and environment.
    port, count : int
        Where it listens; how many variables it has.
    history : bool
    per_call : int
        Items in a call at most.
    """

    def __init__(self, how, port, count, *, history=False, per_call=1000):
        self.port, self.count = port, count
        command, more = how
        self._command = [*command, str(port), str(count), "history" if history else ""]
        self._command.append(str(per_call))
        self._environment = {**os.environ, **more}
        self._process = None

    async def start(self):
        """Return when it serves."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=self._environment
        )
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
