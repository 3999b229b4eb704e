"""Source groups: one supervised process each; what happens to one is no matter of the other."""

import os
import signal
import time

from historian.testing import ServerProcess, free_port

TOML = """
[[collectors]]
name = "north"
linger_ms = 5

[[collectors]]
name = "south"
linger_ms = 5

[[collectors]]
name = "broken"
spool_path = "no-folder"

[[sources]]
name = "press"
kind = "mqtt"
collector = "north"
[sources.settings]
host = "127.0.0.1"
port = {port}
subscriptions = [{{ topic = "plant/#" }}]
[[sources.settings.mappings]]
topic = "plant/#"
kind = "samples"
value = "v"
address = "x"

[[sources]]
name = "wrong"
kind = "mqtt"
collector = "north"
[sources.settings]
hots = "127.0.0.1"

[[sources]]
name = "oven"
kind = "mqtt"
collector = "south"
[sources.settings]
host = "127.0.0.1"
port = {port}
subscriptions = [{{ topic = "plant/#" }}]
[[sources.settings.mappings]]
topic = "plant/#"
kind = "samples"
value = "v"
address = "x"
"""


def until(read, done, seconds=60.0):
    end = time.monotonic() + seconds
    while not done(found := read()):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_groups_are_processes_of_their_own(tmp_path):
    """One is killed, one cannot open its spool, one source is wrong: each other goes on."""
    (tmp_path / "no-folder").write_text("in the way")
    toml = TOML.replace("{port}", str(free_port())).replace("{{", "{").replace("}}", "}")
    with ServerProcess(tmp_path, toml) as server, server.client() as client:

        def children():
            found = client.get("/v1/health").json()["children"]
            return {name.removeprefix("collector "): one for name, one in found.items()}

        def sources():
            return {one["source"]: one for one in client.get("/v1/sources").json()["sources"]}

        told = until(sources, lambda found: {"press", "wrong", "oven"} <= set(found))
        assert ("failed", "north") == (told["wrong"]["state"], told["wrong"]["collector"])
        assert "sources.wrong.settings.subscriptions: got []" in told["wrong"]["detail"]
        assert "failed" not in {told["press"]["state"], told["oven"]["state"]}
        assert "south" == told["oven"]["collector"]
        first = until(children, lambda found: found["broken"]["starts"] > 1)
        assert first["north"]["pid"] != first["south"]["pid"]

        os.kill(first["north"]["pid"], signal.SIGKILL)
        after = until(
            children, lambda found: found["north"]["pid"] not in {None, first["north"]["pid"]}
        )
        assert (2, 1) == (after["north"]["starts"], after["south"]["starts"])
        assert first["south"]["pid"] == after["south"]["pid"]
        events = until(
            lambda: client.get("/v1/events/source_state", params={"start": "now-1h"}).json(),
            lambda found: "not_collected" in found["link"],
        )
        down = [
            s
            for s, link in zip(events["source"], events["link"], strict=True)
            if link == "not_collected"
        ]
        assert {"press", "wrong"} == set(down)
