"""Templates, and what every page is sent with."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import Scope

from gateway.security.permissions import Permission, Principal
from gateway.web import words

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
STATIC_PATH = "/review/static"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""A page holds a note: nothing keeps it, nothing hears of it, and nothing that is not ours runs in it."""
_YEAR = 31_536_000


class _CachedFiles(StaticFiles):
    """Asked for with the digest of its content a file never changes; without, it is asked for again each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        lasting = b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable" if lasting else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def mount_static(app: FastAPI) -> None:
    """Serve the pages' styles and scripts; they are open to everybody, for the login page needs them too."""
    app.mount(STATIC_PATH, _CachedFiles(directory=STATIC), name="review-static")


@cache
def asset(name: str) -> str:
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{STATIC_PATH}/{name}?v={digest}"


def render(name: str, **values: Any) -> str:
    """A part of a page."""
    return _environment().get_template(name).render(**values)


def page(
    request: Request, name: str, principal: Principal | None = None, *, status: int = 200, **values: Any
) -> Response:
    """A whole page. ``principal`` is whose name stands at its top."""
    session = getattr(request.state, "session", None)
    text = render(
        name,
        principal=principal,
        may_oversee=principal is not None and principal.may(Permission.OVERVIEW),
        csrf_token=getattr(session, "csrf_token", ""),
        path=request.url.path,
        **values,
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=asset, words=words, now=lambda: datetime.now(UTC))
    environment.filters.update(
        ago=ago, day_time=day_time, number=number, duration=duration, percent=percent, person=words.person
    )
    return environment


def ago(time: datetime, now: datetime | None = None) -> str:
    seconds = max(0, int(((now or datetime.now(UTC)) - time).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def day_time(time: datetime) -> str:
    """In UTC; a script shows it in the reader's own time."""
    return time.astimezone(UTC).strftime("%-d %b %Y, %H:%M UTC")


def number(confidence: float | None) -> str:
    return "–" if confidence is None else f"{confidence:.2f}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f}%"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    size, unit = (1, "s") if seconds < 60 else (60, "min") if seconds < 3600 else (3600, "h")
    value = f"{seconds / size:.1f}".removesuffix(".0")
    return f"{value} {unit}"
