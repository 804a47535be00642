"""`/api/v1/portfolios`: a user's own."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptosense.http.guards import guarded
from cryptosense.http.replies import Problem, json_response
from cryptosense.http.resources.cached import X_CACHE, answer_cached
from cryptosense.http.resources.route import ResourceRoute, answers, caller_of, parts_of
from cryptosense.services.portfolios import HoldingInput

router = APIRouter(prefix="/api/v1/portfolios", tags=["portfolios"], route_class=ResourceRoute)

PortfolioId = Annotated[str, Path(max_length=64)]


class Holding(BaseModel):
    """How much of which coin; quantities are exact, as strings or numbers."""

    model_config = ConfigDict(extra="forbid")

    coin: str = Field(min_length=1, max_length=200, examples=["bitcoin"])
    quantity: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Field(examples=["0.5"])


class PortfolioIn(BaseModel):
    """A portfolio as it is sent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "Savings", "holdings": [{"coin": "bitcoin", "quantity": "0.5"}]}},
    )

    name: str = Field(min_length=1, max_length=200)
    holdings: list[Holding] = Field(max_length=250)

    def inputs(self) -> list[HoldingInput]:
        """The holdings as the service takes them."""
        return [HoldingInput(holding.coin, holding.quantity) for holding in self.holdings]


class HoldingOut(BaseModel):
    """Quantities are decimal strings."""

    coin: str
    quantity: str


class PortfolioOut(BaseModel):
    """A portfolio as it is answered."""

    id: str
    name: str
    holdings: list[HoldingOut]


class OnePortfolio(BaseModel):
    """One of them."""

    portfolio: PortfolioOut


class AllPortfolios(BaseModel):
    """All of them."""

    portfolios: list[PortfolioOut]


@router.get("", response_model=AllPortfolios, responses={**X_CACHE, **answers(Problem.DATABASE)})
@guarded()
async def all_portfolios(request: Request) -> Response:
    """Every portfolio of the caller."""
    return await answer_cached(request, parts_of(request).portfolios.all(caller_of(request).user))


@router.post("", response_model=OnePortfolio, status_code=201, responses=answers(Problem.DATABASE))
@guarded()
async def create(request: Request, body: PortfolioIn) -> Response:
    """A new portfolio; `holdings` may be empty."""
    made = await parts_of(request).portfolios.create(caller_of(request).user, body.name, body.inputs())
    return json_response({"portfolio": made}, 201)


@router.get(
    "/{portfolio}", response_model=OnePortfolio, responses={**X_CACHE, **answers(Problem.NOT_FOUND, Problem.DATABASE)}
)
@guarded()
async def one(request: Request, portfolio: PortfolioId) -> Response:
    """One portfolio of the caller."""
    return await answer_cached(request, parts_of(request).portfolios.one(caller_of(request).user, portfolio))


@router.put("/{portfolio}", response_model=OnePortfolio, responses=answers(Problem.NOT_FOUND, Problem.DATABASE))
@guarded()
async def replace(request: Request, portfolio: PortfolioId, body: PortfolioIn) -> Response:
    """Other contents for a portfolio."""
    changed = await parts_of(request).portfolios.replace(caller_of(request).user, portfolio, body.name, body.inputs())
    return json_response({"portfolio": changed})


@router.delete("/{portfolio}", status_code=204, responses=answers(Problem.NOT_FOUND, Problem.DATABASE))
@guarded()
async def delete(request: Request, portfolio: PortfolioId) -> Response:
    """A portfolio less."""
    await parts_of(request).portfolios.delete(caller_of(request).user, portfolio)
    return Response(status_code=204)
