"""Logging in and out: a one-time code, or the identity provider. Open to everybody, so nothing here says who exists."""

import hashlib
import hmac
import re
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from gateway.errors import GatewayError
from gateway.security.access import check_origin, check_token, client_address
from gateway.security.build import Security
from gateway.security.oidc import STATE_SECONDS, Provider, SignIn
from gateway.security.origins import local_path
from gateway.security.refusals import CsrfError
from gateway.security.secrets import new_secret, same
from gateway.web import pages

router = APIRouter(include_in_schema=False)
_WRONG_CODE = "This code does not work. It may be mistyped, used already or too old; ask for a new one."
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_CODE_CHARS = 200


@router.get("/login")
def login_page(
    request: Request, code: Annotated[str, Query()] = "", next_path: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The form. A code in the address is filled in and no more, so that what looks at links cannot use it up."""
    security = _security(request)
    target = local_path(next_path)
    cookie = request.cookies.get(security.sessions.cookie)
    if security.settings.auth == "off" or (cookie and security.sessions.find(cookie)):
        return RedirectResponse(target, status_code=303)
    return _page(request, next_path=target, code=code[:_MOST_CODE_CHARS])


@router.post("/login")
def log_in(
    request: Request,
    code: Annotated[str, Form()] = "",
    next_path: Annotated[str, Form(alias="next")] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """What is refused is said on the page: a person waits for the answer."""
    security = _security(request)
    address, target = client_address(request), local_path(next_path)
    try:
        check_origin(request, security)
        planted = request.cookies.get(_form_cookie(security))
        if not planted or not same(token, _form_token(security, planted)):
            raise CsrfError
        security.limits.check_failures(address)
    except GatewayError as error:
        return _refused(request, error, target)
    value = security.logins.redeem(code[:_MOST_CODE_CHARS], replaces=request.cookies.get(security.sessions.cookie))
    if value is None:
        security.limits.count_failure(address)
        return _page(request, next_path=target, error=_WRONG_CODE, status=401)
    return _logged_in(security, value, target)


@router.get("/login/oidc")
def leave_for_provider(request: Request, next_path: Annotated[str, Query(alias="next")] = "") -> Response:
    """Send the browser to the identity provider."""
    security = _security(request)
    provider = _provider(security)
    try:
        url, memory = provider.begin(local_path(next_path))
    except GatewayError as error:
        return _refused(request, error, local_path(next_path))
    response = RedirectResponse(url, status_code=303)
    _set_cookie(security, response, provider.cookie, memory, STATE_SECONDS)
    return response


@router.get("/login/callback")
def come_back_from_provider(request: Request) -> Response:
    """Where the identity provider sends the browser to."""
    security = _security(request)
    provider = _provider(security)
    address = client_address(request)
    try:
        security.limits.check_failures(address)
        found: SignIn = provider.finish(request.cookies.get(provider.cookie), request.query_params)
    except GatewayError as error:
        if error.status in {400, 403}:
            security.limits.count_failure(address)
            security.sessions.note_failure("oidc", error.body.code)
        response = _refused(request, error, local_path(None))
    else:
        replaces = request.cookies.get(security.sessions.cookie)
        value = security.sessions.start(found.user, found.role, method="oidc", replaces=replaces)
        response = _logged_in(security, value, local_path(found.next_path))
    _drop_cookie(security, response, provider.cookie)
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End this browser's session. Raises CsrfError without the session's token."""
    security = _security(request)
    check_origin(request, security)
    response = RedirectResponse("/login", status_code=303)
    if cookie := request.cookies.get(security.sessions.cookie):
        session = await run_in_threadpool(security.sessions.find, cookie)
        if session is not None:
            await check_token(request, session)
            await run_in_threadpool(security.sessions.end, cookie)
        _drop_cookie(security, response, security.sessions.cookie)
    return response


def _security(request: Request) -> Security:
    security: Security = request.app.state.services.security
    return security


def _provider(security: Security) -> Provider:
    if security.oidc is None:
        raise GatewayError(404, "not_found", "there is nothing at this address")
    return security.oidc


def _page(request: Request, *, next_path: str, code: str = "", error: str = "", status: int = 200) -> Response:
    security = _security(request)
    name = _form_cookie(security)
    planted = request.cookies.get(name, "")
    if not _COOKIE_VALUE.fullmatch(planted):
        planted = new_secret()
    response = pages.page(
        request,
        "login.html",
        status=status,
        code=code,
        error=error,
        next_path=next_path,
        token=_form_token(security, planted),
        provider=security.oidc.name if security.oidc else None,
    )
    _set_cookie(security, response, name, planted, 3600)
    return response


def _form_cookie(security: Security) -> str:
    return "__Host-clincode-form" if security.sessions.secure else "clincode_form"


def _form_token(security: Security, planted: str) -> str:
    """What the form must send along with the cookie: another site can set neither to a pair that fits."""
    key = security.settings.derived_key("login form")
    return hmac.new(key, planted.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _logged_in(security: Security, value: str, target: str) -> Response:
    response = RedirectResponse(target, status_code=303)
    _set_cookie(security, response, security.sessions.cookie, value, security.sessions.cookie_seconds)
    _drop_cookie(security, response, _form_cookie(security))
    return response


def _set_cookie(security: Security, response: Response, name: str, value: str, seconds: int) -> None:
    # Lax, not Strict: the provider's redirect back, and a link to a note in a message, come from another site.
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=security.sessions.secure, httponly=True, samesite="lax"
    )


def _drop_cookie(security: Security, response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=security.sessions.secure, httponly=True, samesite="lax")


def _refused(request: Request, error: GatewayError, next_path: str) -> Response:
    text = error.body.message
    response = _page(request, next_path=next_path, error=f"{text[0].upper()}{text[1:]}.", status=error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
