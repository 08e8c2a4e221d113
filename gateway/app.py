"""The gateway's application: services, routes, middleware and background work put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse

from clincode import __version__
from gateway.access_log import AccessLog
from gateway.api import codes, fhir, health, hl7, notes, predict
from gateway.api.responses import Json
from gateway.faults import install_fault_handlers
from gateway.security.access import require
from gateway.security.headers import SecurityHeaders
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.settings import Settings
from gateway.web import login
from gateway.web import routes as review

API = "/api/v1"
log = structlog.get_logger(__name__)


def create_app(settings: Settings, services: Services | None = None) -> FastAPI:
    """The application; its database is brought to this code's tables at start."""
    services = services or Services.build(settings)
    app = FastAPI(
        title="clincode",
        version=__version__,
        description="Entities, their context and ICD-10-CM codes from clinical notes.",
        openapi_url=None,  # served below, to those who may
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.include_router(_api())
    app.include_router(health.router)
    app.include_router(health.metrics)
    app.include_router(login.router)
    app.include_router(review.router)
    review.mount_static(app)
    app.add_api_route("/", _start_page, include_in_schema=False)
    app.add_api_route("/openapi.json", _openapi, include_in_schema=False)
    app.add_api_route(f"{API}/openapi.json", _openapi, include_in_schema=False)
    install_fault_handlers(app)
    app.add_middleware(GZipMiddleware, minimum_size=1024)
    app.add_middleware(AccessLog, metrics=services.metrics)
    app.add_middleware(SecurityHeaders, settings=settings)  # the outermost: it names the request
    return app


def _api() -> APIRouter:
    router = APIRouter(prefix=API)
    for part in (predict, notes, codes, fhir, hl7):
        router.include_router(part.router)
    router.include_router(health.model_health)
    return router


def _start_page(_: Annotated[Principal, require(Permission.REVIEW)]) -> RedirectResponse:
    return RedirectResponse("/review", status_code=303)


def _openapi(request: Request, _: Annotated[Principal, require(Permission.HEALTH)]) -> Json:
    return Json(request.app.openapi())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await run_in_threadpool(services.database.migrate)
    await run_in_threadpool(services.drift.start)
    background = [
        asyncio.create_task(services.worker.run()),
        asyncio.create_task(services.webhooks.run()),
        asyncio.create_task(services.retention.run()),
        asyncio.create_task(run_in_threadpool(lambda: services.codes.terminology)),
    ]
    log.info("gateway_started", version=__version__)
    try:
        yield
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await services.predictor.close()
        await run_in_threadpool(services.drift.close)
        services.database.close()
