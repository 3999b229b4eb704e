"""Every door: a token, known parameters, bounded bodies, errors of one shape, safe headers."""

import pytest
from fastapi.routing import APIRoute

from api.routes import ROUTERS
from api.routes.pages import FILES
from historian.errors import Overloaded
from storage_engine import errors as engine_errors

FREE = {"/health", "/ready", "/", "/units/{serial:path}", "/static/{name}"}
SHAPE = {"code", "message", "got", "want", "where", "id"}
ROUTES = [(r.path, m) for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)
          for m in r.methods]  # fmt: skip
GUARDED = sorted((p, m) for p, m in ROUTES if p not in FREE)


def concrete(path):
    """A path with something in its places."""
    for place in ("{name:path}", "{serial:path}", "{lot:path}", "{meter:path}"):
        path = path.replace(place, "x/y")
    return path.replace("{kind}", "unit_arrived")


def error_of(answer, status, code):
    assert status == answer.status_code, answer.text
    error = answer.json()["error"]
    assert SHAPE == set(error)
    assert code == error["code"], error
    return error


def test_no_guarded_path_answers_without_a_valid_token(house):
    """A route added tomorrow is in this list by itself."""

    async def work(_, historian):
        for token in ("", "wrong", "x" * 5000):
            async with house.client(historian, token) as stranger:
                for path, method in GUARDED:
                    answer = await stranger.request(method, concrete(path), content=b"{}")
                    error_of(answer, 401, "unauthorized")
                    assert "Bearer" == answer.headers["www-authenticate"]

    house.run(work)


def test_a_reader_may_not_write_nor_a_writer_administrate(house):
    """Scopes hold at the door."""

    async def work(_, historian):
        reader = historian.tokens.issue("dashboard", "read", "test")
        writer = historian.tokens.issue("mes", "write", "test")
        async with house.client(historian, reader) as client:
            assert 200 == (await client.get("/v1/tags")).status_code
            answer = await client.post("/v1/samples", json={"series": []})
            assert "write" == error_of(answer, 403, "forbidden")["want"]
        async with house.client(historian, writer) as client:
            assert 200 == (await client.post("/v1/samples", json={"series": []})).status_code
            error_of(await client.post("/v1/tags", json={"name": "x"}), 403, "forbidden")
        historian.tokens.revoke("mes", "test")
        async with house.client(historian, writer) as client:
            error_of(await client.get("/v1/tags"), 401, "unauthorized")

    house.run(work)


def test_an_unknown_parameter_is_refused_on_every_path(house):
    """A typing error must not widen a question."""

    async def work(client, _):
        for path, method in GUARDED:
            answer = await client.request(
                method, concrete(path), params={"colour": "red"}, content=b"{}"
            )
            assert 400 == answer.status_code, (path, answer.text)
            assert SHAPE == set(answer.json()["error"])

    house.run(work)


async def endless(limit=50_000_000):
    """A body that never says how long it is; counts what was taken of it."""
    chunk = b" " * 65_536
    for _ in range(limit // len(chunk)):
        endless.taken += len(chunk)
        yield chunk


@pytest.mark.parametrize("path", ["/v1/samples", "/v1/events/unit_arrived", "/v1/tags"])
def test_a_body_without_length_is_cut_off_at_the_bound(house, path):
    """Memory is bounded by what was read so far, not by what the caller has to send."""
    endless.taken = 0

    async def work(client, historian):
        answer = await client.post(path, content=endless())
        error = error_of(answer, 413, "body_too_large")
        assert "close" == answer.headers["connection"]
        assert "1000000" in error["want"]

    house.run(work)
    assert 1_000_000 < endless.taken < 1_300_000


def test_an_announced_length_is_refused_before_a_byte_is_read(house):
    """The caller learns at once."""
    endless.taken = 0

    async def work(client, _):
        answer = await client.post(
            "/v1/samples", content=endless(), headers={"content-length": "1000001"}
        )
        error_of(answer, 413, "body_too_large")

    house.run(work)
    assert 0 == endless.taken


def test_bodies_are_given_back_to_the_budget(house):
    """Refused or not: else the server would say overloaded for ever."""

    async def work(client, _):
        for _ in range(6):
            await client.post("/v1/samples", content=b"x" * 900_000)
            await client.post("/v1/samples", content=endless(2_000_000))
        return client._transport.app.state.body_budget.held_bytes

    assert 0 == house.run(work)


def test_an_encoded_body_is_refused(house):
    """No decompression, no bomb."""

    async def work(client, _):
        headers = {"content-encoding": "gzip"}
        error_of(await client.post("/v1/samples", content=b"x", headers=headers), 415,
                 "encoded_body")  # fmt: skip

    house.run(work)


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (engine_errors.LowDisk("free 1 byte at /srv/plant/store"), 503, "low_disk"),
        (engine_errors.LimitExceeded("at /srv/plant/store"), 503, "overloaded"),
        (engine_errors.EngineClosed("at /srv/plant/store"), 503, "not_ready"),
        (engine_errors.CorruptData("block 7 at /srv/plant/store"), 500, "damaged_data"),
        (engine_errors.DiskError("EIO at /srv/plant/store"), 503, "disk_error"),
        (Overloaded("cannot take it now", retry_after_s=7.0), 503, "overloaded"),
        (RuntimeError("secret at /srv/plant/store"), 500, "internal"),
    ],
)
def test_trouble_inside_tells_the_caller_what_to_do_and_no_path(house, raised, status, code):
    """The id leads to the log; the log has the rest."""

    async def work(client, historian):
        def fail(*_):
            raise raised

        historian.query.latest = fail
        answer = await client.get("/v1/latest", params={"tag": "x"})
        error = error_of(answer, status, code)
        assert 16 == len(error["id"])
        assert "/srv/plant" not in answer.text
        assert "Traceback" not in answer.text
        if status == 503:
            assert int(answer.headers["retry-after"]) >= 1

    house.run(work)


def test_every_error_of_the_engine_has_a_row(house):
    """A new class without a row would be told as a fault of ours."""
    from api.errors import TABLE

    classes = [
        c for c in vars(engine_errors).values()
        if isinstance(c, type) and issubclass(c, engine_errors.StorageError)
    ]  # fmt: skip
    covered = [c for c in classes if any(base in TABLE for base in c.__mro__[:-2])]

    assert classes
    assert classes == covered


def test_unknown_paths_and_methods_have_the_shape_too(house):
    """Nothing answers in the framework's own words."""

    async def work(client, _):
        error_of(await client.get("/v1/nothing"), 404, "no_such_path")
        error_of(await client.get("/static/..%2f..%2fetc%2fpasswd"), 404, "no_such_path")
        error_of(await client.get("/static/base.py"), 404, "no_such_path")
        answer = await client.delete("/v1/tags")
        error_of(answer, 405, "method_not_allowed")
        assert "allow" in answer.headers

    house.run(work)


def test_every_answer_carries_the_security_headers(house):
    """Errors as well as pages."""

    async def work(client, _):
        for path in ("/", "/health", "/v1/nothing", "/static/base.css", "/v1/store"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "nosniff" == headers["x-content-type-options"]
            assert "DENY" == headers["x-frame-options"]

    house.run(work)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_of_the_pages_is_served_and_held_by_its_tag(house, name):
    """Asked again, a browser's copy is confirmed without sending it."""

    async def work(client, historian):
        async with house.client(historian, "") as browser:
            first = await browser.get(f"/static/{name}")
            assert 200 == first.status_code, first.text
            again = await browser.get(
                f"/static/{name}", headers={"if-none-match": first.headers["etag"]}
            )
            assert (304, b"") == (again.status_code, again.content)

    house.run(work)


def test_liveness_needs_no_token_and_tells_nothing(house):
    """Also for a watcher that is not ours."""

    async def work(_, historian):
        async with house.client(historian, "") as watcher:
            assert {"status": "alive"} == (await watcher.get("/health")).json()
            ready = await watcher.get("/ready")
            assert (200, {"ready": True, "reasons": []}) == (ready.status_code, ready.json())
            historian.ingest.close("a test: /srv/plant/store")
            shut = await watcher.get("/ready")
            assert 503 == shut.status_code
            assert shut.json()["reasons"]
            assert "/srv" not in shut.text

    house.run(work)


def test_arrow_is_refused_clearly_where_it_is_not_installed(house, monkeypatch):
    """Pyarrow is an extra."""
    import builtins

    genuine = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return genuine(name, *rest, **more)

    async def work(client, _):
        await client.post("/v1/tags", json={"name": "t"})
        monkeypatch.setattr(builtins, "__import__", without)
        asked = {"tag": "t", "start": "0", "end": "1"}
        accept = {"accept": "application/vnd.apache.arrow.stream"}
        error_of(await client.get("/v1/raw", params=asked, headers=accept), 406, "arrow_missing")
        accept = {"accept": "text/html"}
        error_of(await client.get("/v1/raw", params=asked, headers=accept), 406, "not_acceptable")
        accept = {"accept": "text/html, */*;q=0.1"}
        assert 200 == (await client.get("/v1/raw", params=asked, headers=accept)).status_code

    house.run(work)
