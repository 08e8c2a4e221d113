"""An error of the contract → an R4 OperationOutcome (https://hl7.org/fhir/R4/operationoutcome.html)."""

import re

from clincode.errors import ErrorBody
from gateway.fhir.terms import ERROR_SYSTEM, Resource

_BY_CODE = {
    "missing": "required",
    "unknown_field": "structure",
    "unsupported_resource": "not-supported",
    "unsupported_bundle": "not-supported",
    "unsupported_content_type": "not-supported",
    "unsupported_charset": "not-supported",
    "unsupported_subject": "not-supported",
    "string_too_long": "too-long",
}
_BY_STATUS = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    409: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "value",
    429: "throttled",
    503: "transient",
    504: "timeout",
}
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(\[\d+\])?(\.[A-Za-z][A-Za-z0-9]*(\[\d+\])?)*")


def operation_outcome(error: ErrorBody, status: int) -> Resource:
    """One issue: ``code`` after the error's code, else after the HTTP status (``exception`` for what is not listed);
    the error's own code as a coding of ``details``, its message as their text, its field, where it is a path, as
    ``expression`` relative to the resource that was posted."""
    issue: Resource = {
        "severity": "error" if status < 500 else "fatal",
        "code": _BY_CODE.get(error.code) or _BY_STATUS.get(status, "exception" if status >= 500 else "invalid"),
        "details": {"coding": [{"system": ERROR_SYSTEM, "code": error.code}], "text": error.message},
    }
    if error.field and _PATH.fullmatch(error.field):
        issue["expression"] = [error.field]
    return {"resourceType": "OperationOutcome", "issue": [issue]}
