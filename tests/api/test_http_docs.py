"""docs/http.md: every example of a read is answered as it stands."""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http.md"
WRITES = ("/v1/tags", "/v1/samples", "/v1/events")
# Nothing in the page writes these.
NOT_THERE = ("/v1/lots/", "/v1/meters/M-LINE")


def _examples(heading, following):
    """Commands of a part of the page, as lists of words."""
    text = PAGE.read_text(encoding="utf-8")
    part = text[text.index(f"\n## {heading}") : text.index(f"\n## {following}")]
    for block in re.findall(r"```\n(curl .*?)```", part, re.DOTALL):
        lines = block.replace("\\\n", " ")
        for command in re.split(r"\n(?=curl )", lines):
            yield shlex.split(command.partition("\n{")[0])


async def _run(client, words):
    """One command as curl would send it."""
    url, headers, data, method, in_address = "", {}, [], None, False
    rest = iter(words[1:])
    for word in rest:
        if word == "-G":
            in_address = True
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers |= {} if name == "$AUTH" else {name: value}
        elif word == "-X":
            method = next(rest)
        elif word in ("-d", "--data-urlencode"):
            data.append(next(rest))
        elif word.startswith("$URL"):
            url = word.removeprefix("$URL")
    if in_address:
        pairs = [tuple(one.split("=", 1)) for one in data]
        return url, await client.get(url, params=pairs, headers=headers)
    content = data[0].encode() if data else None
    verb = method or ("POST" if data else "GET")
    return url, await client.request(verb, url, content=content, headers=headers)


def test_every_example_of_a_read_is_answered(house):
    """Written by the page's own examples of writing."""

    async def work(client, historian):
        await client.post("/v1/tags", json={"name": "oven/power"})  # read, made nowhere
        for words in _examples("Writing", "Reading"):
            written = any(path in words[2] for path in WRITES)
            if written and not any("PATCH" in word or "csv" in word for word in words):
                url, answer = await _run(client, words)
                assert answer.status_code in (200, 201), (url, answer.text)
        tried = []
        for words in _examples("Reading", "Changing history"):
            url, answer = await _run(client, words)
            missing = any(url.startswith(path) for path in NOT_THERE)
            want = 404 if missing else 200
            assert want == answer.status_code, (words, answer.text)
            tried.append(url.partition("?")[0])
        for read in ("latest", "raw", "aggregates", "spans", "at-times", "interpolated", "plot"):
            assert f"/v1/{read}" in tried, "a read without an example"

    house.run(work)
