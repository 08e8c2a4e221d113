"""Who asks, and whether they may: the one dependency of every route that is not open to everybody.

    @router.get("/api/v1/thing")
    def thing(principal: Annotated[Principal, require(Permission.CODES)]) -> …

A ``Bearer`` credential decides before a session's cookie; one that is not good is refused even beside a good cookie.
"""

from functools import lru_cache
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts

from gateway.security.build import Security
from gateway.security.keys import PREFIX
from gateway.security.origins import is_own_origin
from gateway.security.permissions import LOCAL, Permission, Principal
from gateway.security.refusals import CsrfError, ForbiddenError, LoginNeededError, UnauthenticatedError
from gateway.security.secrets import same
from gateway.security.sessions import Session

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_API = ("/api/", "/health/", "/metrics", "/openapi.json")


class Requirement:
    """What a route asks for, as a FastAPI dependency. Sets ``request.state.principal`` and ``request.state.session``
    (None for programs). A key that was seen within the last second costs no look into the database; everything that
    does runs in the thread pool."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __repr__(self) -> str:
        return f"require({self.permission.value})"

    async def __call__(self, request: Request) -> Principal:
        security: Security = request.app.state.services.security
        principal, session = await _identify(request, security)
        request.state.principal = principal
        request.state.session = session
        security.limits.count(principal.name)
        if session is not None and request.method not in _SAFE:
            check_origin(request, security)
            if principal is not LOCAL:
                await check_token(request, session)
        if not principal.may(self.permission):
            raise ForbiddenError(self.permission)
        return principal


def require(permission: Permission) -> Any:
    """The dependency that lets in who has the permission.

    Raises, in a request:
        UnauthenticatedError: 401, or the redirect to the login page where a person opens a page.
        ForbiddenError: 403 ``forbidden``.
        CsrfError: 403 ``csrf``, where a session's unsafe request has not its token or comes from another site.
        TooManyRequestsError: 429 ``rate_limited``, for requests or for failed attempts.
    """
    return Depends(_requirement(permission))


def permissions_of(app: FastAPI) -> list[tuple[str, str, Permission | None]]:
    """Method, path and needed permission of every route, None where it is open; a mount's method is "*"."""
    found: list[tuple[str, str, Permission | None]] = []
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        needed = list(_needed(dependant)) if dependant is not None else []
        for method in sorted(getattr(route, "methods", None) or {"*"}):
            found.extend((method, getattr(route, "path", None) or "", permission) for permission in needed or [None])
    return found


def client_address(request: Request) -> str:
    """By which failures are counted: the peer's, or what the server was told to take from a trusted proxy."""
    return request.client.host if request.client else "unknown"


def check_origin(request: Request, security: Security) -> None:
    """Raises CsrfError where the browser says that the request comes from another site's page."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and not is_own_origin(origin, host, security.settings):
        raise CsrfError
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise CsrfError


async def check_token(request: Request, session: Session) -> None:
    """Raises CsrfError where the request has not the session's token, in its header or its form."""
    sent: Any = request.headers.get(CSRF_HEADER)
    if sent is None and request.headers.get("content-type", "").lower().startswith(_FORMS):
        sent = (await request.form()).get(CSRF_FIELD)
    if not isinstance(sent, str) or not same(sent, session.csrf_token):
        raise CsrfError


@lru_cache
def _requirement(permission: Permission) -> Requirement:
    return Requirement(permission)


def _needed(dependant: Any) -> Any:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Requirement):
            yield inner.call.permission
        yield from _needed(inner)


async def _identify(request: Request, security: Security) -> tuple[Principal, Session | None]:
    if security.settings.auth == "off":
        return LOCAL, security.local_session
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _bearer(request, security, token.strip()), None
    if cookie := request.cookies.get(security.sessions.cookie):
        session = await run_in_threadpool(security.sessions.find, cookie)
        if session is not None:
            return session.principal, session
    raise _nobody(request)


async def _bearer(request: Request, security: Security, token: str) -> Principal:
    if found := security.keys.cached(token):
        return found
    address = client_address(request)
    # Who shares an address with somebody that fails all the time is not shut out, if their key was good before.
    if not security.keys.was_good(token):
        security.limits.check_failures(address)
    principal: Principal | None = None
    if token.startswith(PREFIX):
        principal = await run_in_threadpool(security.keys.authenticate, token)
    elif security.oidc is not None:
        principal = await run_in_threadpool(security.oidc.bearer, token)
    if principal is None:
        security.limits.count_failure(address)
        raise UnauthenticatedError
    return principal


def _nobody(request: Request) -> UnauthenticatedError:
    opens_page = request.method in {"GET", "HEAD"} and not request.url.path.startswith(_API)
    if opens_page and request.headers.get("sec-fetch-mode", "navigate") == "navigate":
        query = f"?{request.url.query}" if request.url.query else ""
        return LoginNeededError(request.url.path + query)
    return UnauthenticatedError()
