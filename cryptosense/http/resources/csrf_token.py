"""`/api/v1/csrf-token`: the session's token."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from cryptosense.http.guards import exchange_of, guarded
from cryptosense.http.replies import json_response
from cryptosense.http.resources.route import ResourceRoute, caller_of, parts_of

router = APIRouter(prefix="/api/v1/csrf-token", tags=["csrf"], route_class=ResourceRoute)


class CsrfToken(BaseModel):
    """64 hex digits."""

    csrf_token: str = Field(alias="csrfToken", pattern="^[0-9a-f]{64}$")


@router.get("", response_model=CsrfToken)
@guarded(same_origin=True)
async def csrf_token(request: Request) -> Response:
    """The session's current token; asking does not replace it."""
    return json_response({"csrfToken": await parts_of(request).csrf.current(caller_of(request).session)})


@router.post("/rotate", response_model=CsrfToken)
@guarded()
async def rotate(request: Request) -> Response:
    """A new token; every older one stops at once."""
    token = await parts_of(request).csrf.rotate(caller_of(request).session)
    exchange_of(request).successor = token
    return json_response({"csrfToken": token})
