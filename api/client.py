"""Where a reading command gets its answers: the running server, else the files, read-only.

Both answer with the same JSON, because the files are asked through the same application in this
process; so a command is written once.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from api.app import create_app
from api.console import CommandFailed, say
from api.encoding import JsonError, decode
from historian.clock import SystemClock
from historian.config import HistorianConfig, default_config, load_config
from historian.runtime import Historian

CONNECT_S = 2.0
ANSWER_S = 300.0
Parameters = Mapping[str, str | int | bool | Sequence[str] | None]


class Client(Protocol):
    """Somebody who answers GET requests of the API."""

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Return the JSON answer, or raise CommandFailed with the server's own words."""
        ...

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for a change with a JSON body; only a running server makes one."""
        ...

    def text(self, path: str, accept: str) -> bytes:
        """Return the bytes of an answer in another form than JSON."""
        ...

    def upload(self, path: str, parameters: Parameters, data: bytes, kind: str) -> Any:
        """Send a body of a media type; only a running server takes one."""
        ...


def read_config(path: Path | None) -> HistorianConfig:
    """Load the file, or the default for the current folder when none is named."""
    return default_config(Path.cwd()) if path is None else load_config(path)


@contextmanager
def connect(config: HistorianConfig, url: str | None) -> Iterator[Client]:
    """Reach the running server, or open the store read-only when none listens.

    Parameters
    ----------
    config : HistorianConfig
        Says where the server listens, its token's file, and where the store lies.
    url : str, optional
        A server elsewhere; then nothing else is tried.

    Raises
    ------
    CommandFailed
        When neither is there.
    """
    address = url or f"http://{reachable(config.http.host)}:{config.http.port}"
    token = token_of(config)
    with httpx.Client(
        base_url=address,
        headers={"authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        trust_env=False,
    ) as http:
        try:
            http.get("/health")
        except httpx.ConnectError:
            if url is not None:
                raise CommandFailed(f"cannot reach server: nobody listens at {url}") from None
        else:
            yield _Http(http)
            return
    if not config.store.path.exists():
        raise CommandFailed(
            f"cannot read: no server listens at {address}, and there is no store at "
            f"{config.store.path}"
        )
    say(f"no server at {address}: reading the files at {config.store.path}")
    with _Files.open(config) as local:
        yield local


_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - translated, not bound


def reachable(host: str) -> str:
    """Address at which a server on this host is reached from here."""
    return _WILDCARDS.get(host, f"[{host}]" if ":" in host else host)


def token_of(config: HistorianConfig) -> str:
    """The administrator's token, as the server wrote it; ``none`` when there is no file."""
    try:
        return config.http.token_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "none"


class _Http:
    """A server over the network."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Ask."""
        try:
            return answer(self._http.get(path, params=_given(parameters)))
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {path}") from None

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for a change."""
        try:
            return answer(self._http.request(method, path, json=body))
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {path}") from None

    def text(self, path: str, accept: str) -> bytes:
        """Ask for another form."""
        try:
            return plain(self._http.get(path, headers={"accept": accept}))
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {path}") from None

    def upload(self, path: str, parameters: Parameters, data: bytes, kind: str) -> Any:
        """Send a body."""
        headers = {"content-type": kind}
        try:
            sent = self._http.post(path, params=_given(parameters), content=data, headers=headers)
            return answer(sent)
        except httpx.TransportError as error:
            raise CommandFailed(f"cannot reach server: {error}, at {path}") from None


class _Files:
    """The store's own files behind the same application, without a network."""

    def __init__(self, http: httpx.AsyncClient, runner: asyncio.Runner) -> None:
        self._http = http
        self._runner = runner

    @classmethod
    @contextmanager
    def open(cls, config: HistorianConfig) -> "Iterator[_Files]":
        """Open the files without the right to write, and close them at the end."""
        historian = Historian.open(config, SystemClock(), read_only=True)
        try:
            # Whoever may open the files may read them: no token is asked for.
            transport = httpx.ASGITransport(create_app(historian, local_reader=True))
            with asyncio.Runner() as runner:
                http = httpx.AsyncClient(transport=transport, base_url="http://store")
                yield cls(http, runner)
                runner.run(http.aclose())
        finally:
            historian.close()

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Ask."""
        return answer(self._runner.run(self._http.get(path, params=_given(parameters))))

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Refuse: the files were opened for reading."""
        raise CommandFailed(f"cannot {method} {path}: no server runs, and files are only read")

    def text(self, path: str, accept: str) -> bytes:
        """Ask for another form."""
        return plain(self._runner.run(self._http.get(path, headers={"accept": accept})))

    def upload(self, path: str, parameters: Parameters, data: bytes, kind: str) -> Any:
        """Refuse: the files were opened for reading."""
        raise CommandFailed(f"cannot POST {path}: no server runs, and files are only read")


def _given(parameters: Parameters | None) -> dict[str, Any]:
    return {k: v for k, v in (parameters or {}).items() if v is not None and v != ""}


def plain(response: httpx.Response) -> bytes:
    """Return the bytes of an answer, or say what the server refused, as :func:`answer`."""
    if not response.is_success:
        answer(response)
    return response.content


def answer(response: httpx.Response) -> Any:
    """Return the JSON of an answer, or say what the server refused.

    Raises
    ------
    CommandFailed
        With code, message and facts of the one error shape.
    """
    try:
        body = decode(response.content)
    except JsonError:
        body = None
    if response.is_success and body is not None:
        return body
    told = body.get("error") if isinstance(body, dict) else None
    if told is None:
        raise CommandFailed(f"cannot read the answer: got status {response.status_code}")
    message = told["message"]
    facts = [
        f"{k} {told[k]}" for k in ("got", "want", "where") if str(told.get(k) or "") not in message
    ]
    raise CommandFailed(", ".join([f"{message} ({told['code']})", *facts]))
