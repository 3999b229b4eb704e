"""api/routes/tokens.py: tokens are made, hold what their scope says, and end at once."""

import pytest


def test_a_token_does_what_its_scope_says_and_ends_when_revoked(house):
    """A reader may ask and not write; after the revocation it may nothing."""

    async def work(client, historian):
        made = await client.post("/v1/tokens", json={"principal": "dash", "scope": "read"})
        assert 201 == made.status_code, made.text
        async with house.client(historian, made.json()["token"]) as reader:
            assert 200 == (await reader.get("/v1/tags")).status_code
            body = {"series": []}
            assert 403 == (await reader.post("/v1/samples", json=body)).status_code
            assert 403 == (await reader.get("/v1/tokens")).status_code
            again = await client.post("/v1/tokens", json={"principal": "dash", "scope": "read"})
            assert 409 == again.status_code
            assert 200 == (await client.delete("/v1/tokens/dash")).status_code
            assert 401 == (await reader.get("/v1/tags")).status_code
        assert 404 == (await client.delete("/v1/tokens/dash")).status_code

    house.run(work)


def test_the_list_names_principals_and_never_tokens(house):
    """What is stored is a digest; what is listed is a name."""

    async def work(client, _):
        made = await client.post("/v1/tokens", json={"principal": "mes", "scope": "write"})
        listed = await client.get("/v1/tokens")
        assert {"principal": "mes", "scope": "write"} in listed.json()["tokens"]
        assert made.json()["token"] not in listed.text

    house.run(work)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"scope": "read"}, "principal"),
        ({"principal": "", "scope": "read"}, "principal"),
        ({"principal": "a", "scope": "root"}, "scope"),
        ({"principal": "a", "scope": ["read"]}, "scope"),
    ],
)
def test_a_wrong_request_makes_nothing(house, document, where):
    """What, got, want, where."""

    async def work(client, _):
        answer = await client.post("/v1/tokens", json=document)
        assert 400 == answer.status_code
        assert where == answer.json()["error"]["where"]

    house.run(work)
