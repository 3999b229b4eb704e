"""A real historian on a folder of its own, and its application without a network."""

import asyncio
import contextlib
import tomllib

import httpx
import pytest

from api.app import create_app
from historian.clock import SystemClock
from historian.config import parse_config
from historian.runtime import Historian

CONFIG = """
[store]
path = "store"
free_bytes_min = 1000000
[http]
token_file = "token"
body_bytes_max = 1000000
[[stations]]
name = "ST10"
line = "line"
tags = ["st10/*"]
[[meters]]
id = "M1"
eng_unit = "Wh"
modulus = 1000.0
rate_max_per_s = 10.0
station = "ST10"
"""


class House:
    """A started historian; each test runs its own event loop with :meth:`run`."""

    def __init__(self, folder):
        self.config = parse_config(tomllib.loads(CONFIG), base=folder)

    def run(self, work):
        """Open, start, hand a client to ``work(client, historian)``, stop; return its result."""

        async def main():
            historian = Historian.open(self.config, SystemClock())
            try:
                await historian.start()
                async with self.client(historian) as client:
                    return await work(client, historian)
            finally:
                await historian.stop()

        return asyncio.run(main())

    @contextlib.asynccontextmanager
    async def client(self, historian, token=None):
        """A client of the application, with the administrator's token unless another is given."""
        secret = self.config.http.token_file.read_text().strip() if token is None else token
        transport = httpx.ASGITransport(create_app(historian), raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        ) as client:
            yield client


@pytest.fixture
def house(tmp_path):
    """A historian's folder."""
    return House(tmp_path)
