"""The front of one TorchServe: a door on the network with a key that lasts, before a server that stays on loopback.

    python -m gateway.front

TorchServe makes new keys at each start and knows no others, so of several replicas behind one address each would want
another key. This takes the deployment's key, asks the TorchServe of the same pod with that one's own, and lets
predictions through and nothing else. Settings are ``CLINCODE_FRONT_…`` variables. Each answer closes its connection, so
that the next note goes to whichever replica the address gives, one that was added a moment ago too.
"""

import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.log import configure_logging

MAX_BODY = 8 << 20
"""TorchServe's own limit (config.properties)."""
_NAME = re.compile(r"[\w.-]{1,128}")
_CONNECT_SECONDS = 3.0
_REFUSED = (400, 401, 403)


class FrontSettings(BaseSettings):
    """Each is the variable ``CLINCODE_FRONT_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="CLINCODE_FRONT_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(8090, ge=1, le=65535)
    key_file: Path
    """What callers must have: JSON as TorchServe's own key file, and while a key is being changed the one before under
    ``previous``. Read again for each note that comes with another."""
    upstream: HttpUrl = HttpUrl("http://127.0.0.1:8080")
    upstream_key_file: Path = Path("/run/clincode/key_file.json")
    response_seconds: float = Field(130.0, gt=0)
    """How long TorchServe may take: more than its ``responseTimeout``, for it says itself what went wrong."""
    drain_seconds: int = Field(130, ge=1)
    """How long notes that are under way may take once this is told to stop."""
    alive_file: Path | None = None
    """There while this runs: TorchServe waits with its own end until it is gone (deploy/probes/drain.py)."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    log_level: str = "info"


class Keys:
    """The keys of a file, read again where one does not fit."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys: Mapping[str, str] = {}

    def inference(self) -> str:
        if not self._keys:
            self.read()
        return self._keys.get("inference", "")

    def admits(self, authorization: str) -> bool:
        """Whether a header is ``Bearer`` and one of the keys."""
        if self._fits(authorization):
            return True
        self.read()
        return self._fits(authorization)

    def read(self) -> None:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            self._keys = {name: str(content[name]["key"]) for name in ("inference", "previous") if name in content}
        except (OSError, ValueError, LookupError, TypeError):
            self._keys = {}  # none fits

    def _fits(self, authorization: str) -> bool:
        given = authorization.encode()
        found = [hmac.compare_digest(given, f"Bearer {key}".encode()) for key in self._keys.values() if key]
        return any(found)


class Front:
    """The two routes."""

    def __init__(self, settings: FrontSettings) -> None:
        self._settings = settings
        self._callers = Keys(settings.key_file)
        self._own = Keys(settings.upstream_key_file)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.response_seconds, connect=_CONNECT_SECONDS, pool=None),
            transport=httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=256)),  # no proxy of the environment
        )

    async def live(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def predict(self, request: Request) -> Response:
        if not self._callers.admits(request.headers.get("authorization", "")):
            # TorchServe's own word, at which the gateway reads its key file again.
            return _fault(401, "InvalidKeyException", "The key is not the deployment's")
        if not _NAME.fullmatch(request.path_params["model"]):
            return _fault(404, "ModelNotFoundException", "There is no such model")
        body = await _body(request)
        if body is None:
            return _fault(413, "RequestTooLargeException", "The body is larger than 8 MiB")
        try:
            return await self._answer(request, body)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return _fault(503, "ServiceUnavailableException", "TorchServe is not there")
        except httpx.HTTPError:  # it had the note in hand
            return _fault(500, "InternalServerException", "TorchServe broke off")

    async def close(self) -> None:
        await self._client.aclose()

    async def _answer(self, request: Request, body: bytes) -> Response:
        answer = await self._ask(request, body)
        if _is_key_fault(answer):
            self._own.read()  # TorchServe was started again
            answer = await self._ask(request, body)
        if _is_key_fault(answer):
            return _fault(503, "ServiceUnavailableException", "TorchServe refuses its own key")
        headers = {"Content-Type": answer.headers.get("content-type", "application/json"), "Connection": "close"}
        return Response(answer.content, answer.status_code, headers)

    async def _ask(self, request: Request, body: bytes) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {self._own.inference()}",
            "Content-Type": request.headers.get("content-type", "application/json"),
            "X-Request-ID": request.headers.get("x-request-id", ""),
        }
        url = f"{str(self._settings.upstream).rstrip('/')}/predictions/{request.path_params['model']}"
        return await self._client.post(url, content=body, headers=headers)


async def _body(request: Request) -> bytes | None:
    """The body, or null where it is too large; counted while it comes in."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _is_key_fault(answer: httpx.Response) -> bool:
    return answer.status_code in _REFUSED and b"InvalidKeyException" in answer.content


def _fault(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"code": status, "type": kind, "message": message}, status, {"Connection": "close"})


def create_front(settings: FrontSettings) -> Starlette:
    """The application."""
    front = Front(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if settings.alive_file:
            settings.alive_file.touch()
        try:
            yield
        finally:
            await front.close()
            if settings.alive_file:
                settings.alive_file.unlink(missing_ok=True)

    routes = [
        Route("/predictions/{model}", front.predict, methods=["POST"]),
        Route("/health/live", front.live, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def serve(settings: FrontSettings) -> None:
    """Serve until SIGTERM; notes under way are answered first."""
    configure_logging(settings.log_level)
    config = uvicorn.Config(
        create_front(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    serve(FrontSettings())  # type: ignore[call-arg]
