"""A whole server as a child process, for tests and benchmarks that need the real one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx


def free_port() -> int:
    """A TCP port that nobody uses on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """``historian serve`` on a folder of its own.

    Parameters
    ----------
    home : Path
        Folder for configuration, store, spools and the log of what it printed.
    extra_toml : str
        More of the configuration. It may use ``{port}``.
    store_toml, http_toml : str
        More keys of those two tables.
    port : int, optional
        HTTP port; a free one unless given.

    Notes
    -----
    Kill it at any moment with :meth:`kill`; :meth:`start` again opens the same store.
    """

    def __init__(
        self,
        home: Path,
        extra_toml: str = "",
        *,
        store_toml: str = "",
        http_toml: str = "",
        port: int | None = None,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = home / "historian.toml"
        self.token_file = home / "token"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f'[store]\npath = "store"\nfree_bytes_min = 1000000\n{store_toml}\n'
            f'[http]\nport = {self.port}\ntoken_file = "token"\n{http_toml}\n'
            + extra_toml.replace("{port}", str(self.port))
        )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def token(self) -> str:
        """The administrator's token, made at first start."""
        return self.token_file.read_text().strip()

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return (self.home / "printed.log").read_text(errors="replace")

    def start(self, timeout_s: float = 60.0) -> Self:
        """Start and wait until it is ready."""
        self._log = (self.home / "printed.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"server ended with {self._process.returncode}: {self.printed}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready", timeout=2).status_code == httpx.codes.OK:
                    return self
            time.sleep(0.05)
        raise TimeoutError(f"server not ready after {timeout_s} s: {self.printed}")

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client with the administrator's token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def interrupt(self, timeout_s: float = 30.0) -> int:
        """Ctrl-C, and wait for the end."""
        return self._end(signal.SIGINT, timeout_s)

    def kill(self) -> None:
        """Kill -9: no chance to say goodbye."""
        self._end(signal.SIGKILL, 30.0)

    def _end(self, sign: signal.Signals, timeout_s: float) -> int:
        assert self._process is not None, "not started"
        if self._process.poll() is None:
            self._process.send_signal(sign)
        code = self._process.wait(timeout_s)
        if self._log is not None:
            self._log.close()
        return code

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, also after a failure."""
        if self._process is not None and self._process.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self.kill()
