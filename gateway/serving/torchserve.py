"""One model behind TorchServe's inference address: pooled HTTP, its token, and what its answers mean."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from clincode.errors import ErrorBody
from clincode.types import Note
from gateway.errors import GatewayError, ModelUnavailableError

_CONNECT_SECONDS = 3.0
_REFUSED_KEY = (400, 401, 403)
_KEY_FAULTS = ("InvalidKeyException", "TokenAuthorizationException")
_ANSWER = {"entities", "codes", "references", "redactions", "model_version"}
"""Without which it is no answer of the contract's, but of something else at that address."""


class BrokenOffError(ModelUnavailableError):
    """The model had the note in hand and gave no answer: its worker died or took too long. The note may be at fault."""


class TorchServe:
    """Asks one URL for predictions. Close it at the end."""

    def __init__(self, url: str, key_file: Path, *, connections: int = 64, timeout_seconds: float = 120.0) -> None:
        self.url = url
        self._key_file = key_file
        self._key = ""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
            transport=httpx.AsyncHTTPTransport(limits=limits),  # its own: notes go through no proxy of the environment
        )

    async def predict(self, note: Note, request_id: str) -> dict[str, Any]:
        """The contract's answer for a note.

        Raises:
            ModelUnavailableError: TorchServe is down or full, or (``BrokenOffError``) broke off in the middle.
            GatewayError: what the handler says of this very note, with its status.
        """
        body = json.dumps({"note_id": note.note_id, "note_text": note.text, "note_type": note.note_type.value})
        response = await self._post(body, request_id)
        if response.status_code in _REFUSED_KEY and _is_key_fault(response):
            self._key = ""  # TorchServe was started again and has new keys
            response = await self._post(body, request_id)
            if response.status_code in _REFUSED_KEY and _is_key_fault(response):
                raise ModelUnavailableError("the model refuses the gateway's key")
        return _answer(response)

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, body: str, request_id: str) -> httpx.Response:
        if not self._key:
            self._key = await asyncio.to_thread(self._read_key)
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "X-Request-ID": request_id,
        }
        try:
            return await self._client.post(self.url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            self._key = ""
            raise ModelUnavailableError from None
        except httpx.HTTPError:
            self._key = ""
            raise BrokenOffError from None

    def _read_key(self) -> str:
        try:
            return str(json.loads(self._key_file.read_text(encoding="utf-8"))["inference"]["key"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ModelUnavailableError("TorchServe's key file cannot be read") from None


def _is_key_fault(response: httpx.Response) -> bool:
    body = _json(response)
    return isinstance(body, dict) and body.get("type") in _KEY_FAULTS


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _answer(response: httpx.Response) -> dict[str, Any]:
    body = _json(response)
    if response.status_code == httpx.codes.OK and isinstance(body, dict) and body.keys() >= _ANSWER:
        return body
    fault = body.get("error") if isinstance(body, dict) else None
    if response.is_error and isinstance(fault, dict):  # the handler's own word on this note
        error = ErrorBody(str(fault.get("code")), str(fault.get("message")), fault.get("field"))
        raise GatewayError(response.status_code, error.code, error.message, error.field)
    if response.status_code in (500, 507) or (isinstance(body, dict) and "Worker died" in str(body.get("message"))):
        raise BrokenOffError
    raise ModelUnavailableError
