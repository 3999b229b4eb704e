"""Two or three tags that go on with each other, over HTTP, and what their reads should show."""

S = 1_000_000_000
BEGIN = 1_767_225_600 * S  # 2026-01-01T00:00:00Z


def seconds(at):
    """Time so many seconds behind the beginning, as a parameter."""
    return str(BEGIN + at * S)


async def declare(client, *tags):
    """Make tags: (name, type), or (name, type, unit)."""
    for name, kind, *unit in tags:
        body = {"name": name, "type": kind, "eng_unit": unit[0] if unit else ""}
        made = await client.post("/v1/tags", json=body)
        assert made.status_code in (200, 201), made.text


async def write(client, name, rows):
    """Store (seconds, value) of a tag."""
    times, values = [BEGIN + t * S for t, _ in rows], [v for _, v in rows]
    series = [{"tag": name, "time": times, "value": values}]
    told = await client.post("/v1/samples", json={"time_unit": "ns", "series": series})
    assert told.json()["rejected"] == 0, told.text


async def join(client, name, former, at=None):
    """Ask for a join; the answer."""
    body = {"continues": former, "at": None if at is None else seconds(at)}
    return await client.post(f"/v1/tags/{name}/join", json=body)


async def ask(client, read, name, **more):
    """One read over a minute from ten seconds before the beginning."""
    window = {"start": seconds(-10), "end": seconds(50)}
    asked = {"tag": name, **({} if read in ("latest", "at-times") else window), **more}
    answer = await client.get(f"/v1/{read}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()
