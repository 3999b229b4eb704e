"""Frames from collectors: the bytes of their spool, answered when they are durable here."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.errors import ApiError
from api.parameters import no_parameters
from api.security import Writer, historian_of
from api.serialize import json_response
from historian.ingest_receipts import FrameReceipt

FRAMES_TYPE = "application/vnd.lighthouse.frames"
router = APIRouter(tags=["write"])


@router.post("/v1/frames", dependencies=[Depends(no_parameters)])
async def frames(request: Request, caller: Writer) -> Response:
    """Store a body of concatenated frames; each frame has its own answer, in order."""
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if sent != FRAMES_TYPE:
        raise ApiError(
            415,
            "wrong_content_type",
            "cannot take the body",
            got=sent,
            want=FRAMES_TYPE,
            where="header Content-Type",
        )
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        historian = historian_of(request)
        receipt = await historian.ingest.put_frames(body, caller.principal)
    answer = {
        "incarnation": historian.engine.incarnation.hex(),
        "frames": [_frame_json(frame) for frame in receipt.frames],
    }
    return json_response(answer)


def _frame_json(frame: FrameReceipt) -> dict[str, Any]:
    return {
        "producer": frame.producer.hex(),
        "epoch": frame.epoch,
        "sequence": frame.sequence,
        "status": frame.status,
        "rows": frame.rows,
        "rejected": frame.rejected,
        "reason": frame.reason,
        "rejects": [{"row": row, "reason": reason} for row, reason in frame.rejects],
    }
