"""The outermost layer: is the request addressed to this gateway, is its body small enough, what is it called, and the
headers that tell a browser what it may do with the answer."""

import re
from collections.abc import Mapping
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clincode.errors import ErrorBody
from gateway.faults import fault_response
from gateway.security.origins import is_own_host, own_hosts
from gateway.settings import Settings

BODY_BYTES = 1 << 20
BODY_BYTES_OF: Mapping[str, int] = {"/api/v1/predict/batch": 8 << 20}
"""Paths whose bodies may be larger than ``BODY_BYTES``."""
STATIC_PATH = "/review/static/"
"""What is served from there holds nothing of a patient and may be kept by the browser."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form of our own comes with "Origin: null"
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _BodyTooLargeError(Exception):
    """Stops the application's reading; the answer is this layer's."""


class SecurityHeaders:
    """Pure ASGI. Sets ``request.state.request_id``. Answers itself:

    - 421 ``bad_host``, on loopback, where another site could point a name of its own at the gateway and read it through
      a visitor's browser;
    - 413 ``body_too_large``, while the body comes in;
    - 500 for what the application let through, so that this answer has the headers too.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        # Elsewhere every route needs a credential, and a cookie goes to the name alone that it was set for.
        self._hosts = own_hosts(settings) if settings.is_loopback else None
        self._headers = dict(_HEADERS)
        if settings.url.startswith("https://"):
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent_id = headers.get("x-request-id", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        started = too_large = False

        async def _send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                self._mark(MutableHeaders(scope=message), scope["path"], request_id)
                started = True
            await send(message)

        async def _send_app(message: Message) -> None:
            if not too_large or started:  # else what the application makes of a body that was cut off
                await _send(message)

        async def _refuse(status: int, code: str, message: str) -> None:
            response = fault_response(Request(scope), status, ErrorBody(code, message))
            await response(scope, receive, _send)

        if self._hosts is not None and not is_own_host(headers.get("host", ""), self._hosts):
            await _refuse(
                421, "bad_host", "this host name is not the gateway's: set CLINCODE_PUBLIC_URL to its address"
            )
            return
        most = BODY_BYTES_OF.get(scope["path"], BODY_BYTES)
        refusal = (413, "body_too_large", f"the body is larger than {most} bytes")
        if (length := headers.get("content-length", "")[:18]).isdecimal() and int(length) > most:
            await _refuse(*refusal)
            return
        received = 0

        async def _receive() -> Message:
            nonlocal received, too_large
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                too_large = True
                raise _BodyTooLargeError
            return message

        try:
            await self._app(scope, _receive, _send_app)
        except Exception:
            if started:
                raise
            if not too_large:
                await _refuse(500, "internal_error", "the gateway failed on this request")
                raise
        if too_large and not started:
            await _refuse(*refusal)

    def _mark(self, headers: MutableHeaders, path: str, request_id: str) -> None:
        for name, value in self._headers.items():
            headers[name] = value
        headers["X-Request-ID"] = request_id
        if not path.startswith(STATIC_PATH):
            headers["Cache-Control"] = "no-store"
