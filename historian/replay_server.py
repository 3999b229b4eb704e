"""The running server as the replay needs it: tags declared, samples read back, rejects counted."""

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from historian.errors import HistorianError
from historian.replay_compare import Held, Sample
from storage_engine.sample import ValueType

_TIMEOUT_S = 60.0
_PAGE_ROWS = 100_000
_FROM_NS, _TO_NS = 0, 4_000_000_000_000_000_000
_REJECTED = re.compile(
    r"^historian_rejected_rows_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE
)


class ServerRefused(HistorianError):  # noqa: N818 - says what happened
    """The server did not do what the replay needs."""


class ReplayServer:
    """HTTP client of one server.

    Parameters
    ----------
    url : str
    token_file : Path
        File with the bearer token; it must be allowed to declare tags.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        self.url = url.rstrip("/")
        self.token_file = token_file
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        token = self.token_file.read_text(encoding="utf-8").strip()
        self._client = httpx.AsyncClient(
            base_url=self.url, timeout=_TIMEOUT_S, headers={"authorization": f"Bearer {token}"}
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._client is not None
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        assert self._client is not None
        try:
            return await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            msg = f"cannot reach server: got {type(error).__name__} {error}, at {self.url}{path}"
            raise ServerRefused(msg) from error

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._ask(method, path, **options)
        if answer.is_success:
            return answer.json()
        msg = f"cannot {method} {path}: got {answer.status_code} {answer.text[:500]}"
        raise ServerRefused(msg)

    async def check(self) -> None:
        """Return when the server answers. Raises ServerRefused when it does not."""
        await self._json("GET", "/v1/store")

    async def declare_tag(self, name: str, type_: ValueType, source: str, address: str) -> None:
        """Make a tag, or find it as it is."""
        facts = {"name": name, "type": type_.name.lower(), "source": source, "address": address}
        await self._json("POST", "/v1/tags", json=facts)

    async def latest_ns(self, tag: str) -> int:
        """Time of the newest sample of a tag; -1 when there is none or the server is away."""
        try:
            found = await self._json("GET", "/v1/latest", params={"tag": tag})
        except ServerRefused:
            return -1
        time = found["time"][0]
        return -1 if time is None else int(time)

    async def held(self, tag: str) -> Held:
        """Read all that a tag holds."""
        revisions, lsns = await self._raw(tag, "all")
        newest, _ = await self._raw(tag, "newest")
        return Held(revisions, newest, lsns)

    async def _raw(self, tag: str, revisions: str) -> tuple[list[Sample], list[int]]:
        samples: list[Sample] = []
        lsns: list[int] = []
        parameters: dict[str, str | int] = {
            "tag": tag,
            "start": str(_FROM_NS),
            "end": str(_TO_NS),
            "revisions": revisions,
            "max_count": _PAGE_ROWS,
        }
        while True:
            page = await self._json("GET", "/v1/raw", params=parameters)
            columns = zip(page["time"], page["quality"], page["value"], strict=True)
            samples += [(int(time), int(quality), value) for time, quality, value in columns]
            lsns += [int(lsn) for lsn in page.get("lsn", ())]
            if not page.get("continuation"):
                return samples, lsns
            parameters["continuation"] = page["continuation"]

    async def rejected_rows(self, source: str) -> int:
        """Rows of a source that the server has rejected since it started."""
        answer = await self._ask("GET", "/metrics")
        label = f'source="{source}"'
        return sum(
            round(float(found["count"]))
            for found in _REJECTED.finditer(answer.text)
            if label in found["labels"].split(",")
        )
