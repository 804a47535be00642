"""`/api/v1/predictions/{coin}` and `/api/v1/risk/{coin}`: statistics of a coin's price history."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from cryptosense.http.guards import guarded
from cryptosense.http.replies import Problem
from cryptosense.http.resources.cached import X_CACHE, answer_cached
from cryptosense.http.resources.route import ResourceRoute, answers, parts_of

router = APIRouter(prefix="/api/v1", tags=["insights"], route_class=ResourceRoute)

Coin = Annotated[str, Path(max_length=200, examples=["bitcoin"])]


class Prediction(BaseModel):
    """Carries `as_of`."""

    prediction: dict[str, Any]


class Risk(BaseModel):
    """Carries `as_of`."""

    risk: dict[str, Any]


@router.get(
    "/predictions/{coin}",
    response_model=Prediction,
    responses={**X_CACHE, **answers(Problem.NOT_FOUND, Problem.UPSTREAM)},
)
@guarded(session=False)
async def prediction(request: Request, coin: Coin) -> Response:
    """Where the price may go, from where it went."""
    return await answer_cached(request, parts_of(request).insights.prediction(coin))


@router.get("/risk/{coin}", response_model=Risk, responses={**X_CACHE, **answers(Problem.NOT_FOUND, Problem.UPSTREAM)})
@guarded(session=False)
async def risk(request: Request, coin: Coin) -> Response:
    """How much the price moves."""
    return await answer_cached(request, parts_of(request).insights.risk(coin))
