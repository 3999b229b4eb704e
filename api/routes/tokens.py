"""Tokens: who may ask, write and administer."""

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, historian_of
from api.serialize import json_response
from historian.tokens import SCOPES

NAME_CHARACTERS_MAX = 200
router = APIRouter(tags=["tokens"])


@router.get("/v1/tokens", dependencies=[Depends(no_parameters)])
def tokens(request: Request, _: Administrator) -> Response:
    """Answer the principals that have a valid token, and its scope; never a token."""
    held = historian_of(request).tokens.names()
    return json_response({"tokens": [{"principal": name, "scope": scope} for name, scope in held]})


@router.post("/v1/tokens", dependencies=[Depends(no_parameters)])
async def issue_token(request: Request, caller: Administrator) -> Response:
    """Make a token (201). This answer is the only place where it is ever shown."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        document = parse_document(
            await read_body(request, held, budget.body_bytes_max), frozenset({"principal", "scope"})
        )
    name, scope = document.get("principal"), document.get("scope")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        want = f"1 to {NAME_CHARACTERS_MAX} characters"
        raise refuse("cannot issue token", name, want, "principal")
    if scope not in SCOPES:
        raise refuse("cannot issue token", scope, ", ".join(SCOPES), "scope")
    known = historian_of(request).tokens
    secret = await asyncio.to_thread(known.issue, name, scope, caller.principal)
    return json_response({"principal": name, "scope": scope, "token": secret}, 201)


@router.delete("/v1/tokens/{principal:path}", dependencies=[Depends(no_parameters)])
async def revoke_token(request: Request, principal: str, caller: Administrator) -> Response:
    """Make a principal's token worthless, at once."""
    known = historian_of(request).tokens
    await asyncio.to_thread(known.revoke, principal, caller.principal)
    return json_response({"principal": principal, "revoked": True})
