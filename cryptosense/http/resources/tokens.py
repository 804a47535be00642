"""`/api/v1/tokens`: market data, public."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptosense.errors import InvalidInput
from cryptosense.http.guards import guarded
from cryptosense.http.replies import Problem, json_response
from cryptosense.http.resources.cached import X_CACHE, answer_cached
from cryptosense.http.resources.route import ResourceRoute, answers, parts_of

router = APIRouter(prefix="/api/v1/tokens", tags=["market data"], route_class=ResourceRoute)


LONGEST_LIST = 20_000  # characters; 250 ids of the longest kind and more


class Tokens(BaseModel):
    """Rows in CoinGecko's shape."""

    tokens: list[dict[str, Any]]


class Invalidation(BaseModel):
    """Which coins to forget; nothing for all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"ids": ["bitcoin"]}})

    ids: list[Annotated[str, Field(max_length=200)]] | None = Field(default=None, max_length=250)


class Invalidated(BaseModel):
    """How many cached lists were dropped."""

    invalidated: int


_IDS: dict[str, Any] = {
    "name": "ids",
    "in": "query",
    "required": True,
    "description": "Coin ids, with commas between",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_LIST, "examples": ["bitcoin,solana"]},
}


@router.get(
    "",
    response_model=Tokens,
    responses={**X_CACHE, **answers(Problem.UPSTREAM)},
    openapi_extra={"parameters": [_IDS]},
)
@guarded(session=False)
async def tokens(request: Request) -> Response:
    """Market data of the named coins."""
    ids = request.query_params.get("ids")
    if ids is None:
        raise InvalidInput("the query names no ids")
    if len(ids) > LONGEST_LIST:
        raise InvalidInput("the list of ids is too long")
    return await answer_cached(request, parts_of(request).market.tokens(ids))


@router.post("/invalidate", response_model=Invalidated)
@guarded(limit="strict")
async def invalidate(request: Request, body: Invalidation | None = None) -> Response:
    """Drops every cached list that holds one of the coins, or all of them."""
    dropped = await parts_of(request).market.invalidate(None if body is None else body.ids)
    return json_response({"invalidated": dropped})
