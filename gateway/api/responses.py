"""JSON answers written by pydantic's serializer, which is fast and knows times."""

from typing import Any

from pydantic_core import to_json
from starlette.responses import JSONResponse


class Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return to_json(content)


class FhirJson(Json):
    media_type = "application/fhir+json"
