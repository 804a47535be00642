"""`/api/v1/tokens`: market data, public."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptosense.http.guards import guarded
from cryptosense.http.replies import Problem, json_response
from cryptosense.http.resources.cached import X_CACHE, answer_cached
from cryptosense.http.resources.route import ResourceRoute, answers, parts_of

router = APIRouter(prefix="/api/v1/tokens", tags=["market data"], route_class=ResourceRoute)


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


@router.get("", response_model=Tokens, responses={**X_CACHE, **answers(Problem.UPSTREAM)})
@guarded(session=False)
async def tokens(
    request: Request,
    ids: Annotated[
        str, Query(max_length=20_000, description="Coin ids, with commas between", examples=["bitcoin,solana"])
    ],
) -> Response:
    """Market data of the named coins."""
    return await answer_cached(request, parts_of(request).market.tokens(ids.split(",")))


@router.post("/invalidate", response_model=Invalidated)
@guarded(limit="strict")
async def invalidate(request: Request, body: Invalidation | None = None) -> Response:
    """Drops every cached list that holds one of the coins, or all of them."""
    dropped = await parts_of(request).market.invalidate(None if body is None else body.ids)
    return json_response({"invalidated": dropped})
