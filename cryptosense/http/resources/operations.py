"""`/health`, `/livez`, `/readyz`, `/metrics`: for whoever runs the service. Not limited, no session."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from cryptosense.http.replies import json_response
from cryptosense.http.resources.route import parts_of

router = APIRouter(tags=["operations"])


class Healthy(BaseModel):
    """`status` says the same as the code."""

    status: str
    timestamp: str
    uptime: float
    services: dict[str, bool]


class Ready(BaseModel):
    """`ready`, `degraded`, `unavailable` or `draining`."""

    status: str
    stage: str
    degraded: bool
    reasons: list[str]
    services: dict[str, bool]


_UNWELL: dict[int | str, dict[str, Any]] = {503: {"model": Healthy, "description": "Something that is used is away"}}
_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Send traffic elsewhere"}}


@router.get("/health", response_model=Healthy, responses=_UNWELL)
async def health(request: Request) -> Response:
    """Whether everything that is used answers."""
    status, report = await parts_of(request).health.health()
    return json_response(report, status)


@router.get("/livez")
async def alive() -> Response:
    """Whether this process answers; asks nothing else."""
    return json_response({"status": "alive"})


@router.get("/readyz", response_model=Ready, responses=_UNREADY)
async def ready(request: Request) -> Response:
    """Whether to send traffic here."""
    status, report = await parts_of(request).health.ready()
    return json_response(report, status)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    parts = parts_of(request)
    await parts.debt.count(parts)
    return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)
