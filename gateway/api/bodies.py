"""Request bodies: read as bytes and parsed by the core, whose faults name the field and never quote the note."""

from collections.abc import Collection
from typing import Any

from fastapi import Request

from clincode.errors import RequestError
from clincode.request import parse_json

JSON = ("application/json",)


def checked_media_type(request: Request, allowed: Collection[str] = JSON) -> None:
    """Raises RequestError: 415, the body is sent as something else."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:
        wanted = " or ".join(allowed)
        raise RequestError("unsupported_media_type", f"send the body as {wanted}", "Content-Type", status=415)


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        RequestError: 400, it is none; 413, it is too large; 415, it is not sent as JSON.
    """
    checked_media_type(request)
    content = parse_json(await request.body())
    if not isinstance(content, dict):
        raise RequestError("not_an_object", "the body must be a JSON object", status=400)
    return content
