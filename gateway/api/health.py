"""Whether the gateway lives, whether it can work, and whether the model answers a sentence in time."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from clincode.types import Note
from gateway.api.responses import Json
from gateway.api.schemas import ErrorResponse, HealthResponse, Liveness, Readiness, faults
from gateway.errors import GatewayError
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.serving.scheduler import Priority

router = APIRouter(tags=["health"])
"""At the root, for probes, and under the API."""
model_health = APIRouter(tags=["health"])
Checking = Annotated[Principal, require(Permission.HEALTH)]

SENTENCE = Note("00000000-0000-0000-0000-000000000000", "Chest pain, no fever. Given aspirin 81 mg. Troponin normal.")
LIMIT_SECONDS = 2.0
_FRESH_SECONDS = 5.0


@router.get("/health/live", response_model=Liveness)
async def live() -> JSONResponse:
    """Answers as long as the process does; the only route that asks for no key."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness}, **faults()})
async def ready(request: Request, _: Checking) -> JSONResponse:
    """Whether notes can be taken in and predicted: the database has this version's tables, and the model has answered
    a sentence within the last seconds."""
    services: Services = request.app.state.services
    database, model = await asyncio.gather(_database_ready(services), _model_ready(request))
    checks = {"database": database, "model": model, "routing": services.predictor.routing.fault is None}
    is_ready = database and model
    return JSONResponse({"status": "ready" if is_ready else "not_ready", "checks": checks}, 200 if is_ready else 503)


@model_health.post("/health", response_model=HealthResponse, responses={**faults(), 503: {"model": ErrorResponse}})
async def health(request: Request, _: Checking) -> Json:
    """The model answers a test sentence within two seconds (200), or does not (503)."""
    start = time.perf_counter()
    version = await _ask(request)
    elapsed = round((time.perf_counter() - start) * 1000)
    return Json({"status": "ok", "model_version": version, "processing_time_ms": elapsed})


async def _ask(request: Request) -> str:
    services: Services = request.app.state.services
    try:
        prediction = await services.predictor.predict(
            SENTENCE, Priority.URGENT_REQUEST, seconds=LIMIT_SECONDS, request_id=request.state.request_id
        )
    except GatewayError as error:
        raise GatewayError(503, error.body.code, error.body.message, retry_after=1) from None
    request.app.state.model_seen = time.monotonic()
    return str(prediction.answer["model_version"])


async def _model_ready(request: Request) -> bool:
    if time.monotonic() - getattr(request.app.state, "model_seen", float("-inf")) < _FRESH_SECONDS:
        return True
    try:
        await _ask(request)
    except GatewayError:
        return False
    return True


async def _database_ready(services: Services) -> bool:
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await run_in_threadpool(services.database.is_current)
    except Exception:
        return False


metrics = APIRouter(include_in_schema=False)


@metrics.get("/metrics")
def prometheus(request: Request, _: Annotated[Principal, require(Permission.METRICS)]) -> Response:
    """Prometheus' text format."""
    services: Services = request.app.state.services
    services.metrics.refresh(services.notes.counts(), services.predictor.scheduler)
    services.drift.refresh()
    return Response(services.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
