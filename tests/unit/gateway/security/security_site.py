"""A small application behind the gateway's own access control, for the tests to knock at."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.testclient import TestClient

from gateway.faults import install_fault_handlers
from gateway.security.access import require
from gateway.security.build import Security
from gateway.security.headers import SecurityHeaders
from gateway.security.permissions import PERMISSIONS, Permission, Principal, Role
from gateway.web import login

URL = "http://127.0.0.1:8000"
ROLES = list(Role)
api = APIRouter(prefix="/api/v1")
pages = APIRouter(prefix="/review")


@api.get("/predict")
def read(principal: Annotated[Principal, require(Permission.PREDICT)]) -> str:
    return principal.name


@api.post("/predict")
def write(principal: Annotated[Principal, require(Permission.PREDICT)]) -> str:
    return principal.name


@api.post("/predict/batch")
async def batch(request: Request, _: Annotated[Principal, require(Permission.PREDICT)]) -> int:
    return len(await request.body())


@api.get("/admin")
def administer(principal: Annotated[Principal, require(Permission.ADMIN)]) -> str:
    return principal.name


@pages.get("")
def worklist(request: Request, _: Annotated[Principal, require(Permission.REVIEW)]) -> dict[str, str]:
    session = request.state.session
    return {"user": session.user, "role": session.role, "csrf": session.csrf_token}


@pages.post("/decide")
def decide(principal: Annotated[Principal, require(Permission.REVIEW)], what: Annotated[str, Form()] = "") -> str:
    return f"{principal.name} {what}"


@pages.post("/json")
def decide_json(principal: Annotated[Principal, require(Permission.REVIEW)], body: dict[str, Any]) -> str:
    return principal.name


@pages.get("/static/app.css")
def style() -> str:
    return ""


open_routes = APIRouter()


@open_routes.get("/open")
def anybody(request: Request) -> str:
    return str(request.state.request_id)


@open_routes.post("/open")
async def anybody_sends(request: Request) -> int:
    return len(await request.body())


@open_routes.get("/crash")
def crash() -> str:
    raise RuntimeError("the text of a note")


@dataclass
class Site:
    app: FastAPI
    security: Security
    client: TestClient

    def browser(self, address: str = "testclient") -> TestClient:
        """Another browser, with no cookies."""
        return TestClient(self.app, URL, follow_redirects=False, client=(address, 50000), raise_server_exceptions=False)

    def key(self, role: Role = Role.SERVICE, *scopes: Permission, name: str = "ehr") -> str:
        return self.security.keys.create(name, role, scopes or PERMISSIONS[role], "tests").token

    def log_in(self, client: TestClient, user: str = "maria", role: Role = Role.CODER) -> str:
        """Opens a session in the browser; returns its CSRF token."""
        cookie = self.security.sessions.start(user, role, method="tests")
        client.cookies.set(self.security.sessions.cookie, cookie)
        session = self.security.sessions.find(cookie)
        assert session is not None
        return session.csrf_token


def make_site(security: Security) -> Site:
    app = FastAPI()
    app.state.services = SimpleNamespace(security=security, settings=security.settings)
    for router in (login.router, api, pages, open_routes):
        app.include_router(router)
    install_fault_handlers(app)
    app.add_middleware(SecurityHeaders, settings=security.settings)
    site = Site(app, security, TestClient(app))
    site.client = site.browser()
    return site


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
