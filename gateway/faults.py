"""Every fault → one envelope: ``{"error": {"code", "message", "field"}}``; an OperationOutcome on the FHIR routes, an
HL7 acknowledgement on the HL7 route, a page for people."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from clincode.errors import ClincodeError, ErrorBody
from gateway.api.responses import FhirJson, Json
from gateway.fhir.outcome import operation_outcome
from gateway.log import place_of

log = structlog.get_logger(__name__)
_FHIR_PATH = "/api/v1/fhir"
_METHODS_OF_FILES = {"GET", "HEAD"}
_PHRASES = {404: ("not_found", "there is nothing at this address"), 405: ("method_not_allowed", "not by this method")}


def install_fault_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ClincodeError, _clincode_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


def fault_response(request: Request, status: int, body: ErrorBody, headers: dict[str, str] | None = None) -> Response:
    """The fault as the route's clients expect it."""
    if request.url.path.startswith(_FHIR_PATH):
        return FhirJson(operation_outcome(body, status), status_code=status, headers=headers)
    return Json(body.to_dict(), status_code=status, headers=headers)


def _clincode_error(request: Request, error: Any) -> Response:
    headers = dict(getattr(error, "headers", None) or {})
    if (retry_after := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(retry_after)
    if error.status >= 500:
        log.warning("request_failed", code=error.body.code, status=error.status)
    return fault_response(request, error.status, error.body, headers)


def _validation_error(request: Request, error: Any) -> Response:
    """A query, path or header value that does not fit; FastAPI's own message would quote it."""
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"][1:]) or None
    message = f"'{field}' does not fit: {fault['type'].replace('_', ' ')}"
    return fault_response(request, 422, ErrorBody(fault["type"], message, field))


def _http_exception(request: Request, error: Any) -> Response:
    code, message = _PHRASES.get(error.status_code, ("http_error", "the request was refused"))
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the framework names the methods of the first route at this address alone
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return fault_response(request, error.status_code, ErrorBody(code, message), headers)


def _methods_at(request: Request) -> set[str]:
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        path = route.path or ""
        if route.methods is None:  # a folder of files
            found |= _METHODS_OF_FILES if request.url.path.startswith(f"{path}/") else set()
        elif path and compile_path(path)[0].match(request.url.path):
            found |= route.methods
    return found


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_crashed", error=type(error).__name__, at=place_of(error))
    body = ErrorBody("internal_error", "the gateway failed on this request")
    return fault_response(request, 500, body)
