"""A JSON resource → its fhir.resources model, or a ``RequestError`` with the path of the element at fault.

The models are those of R4B (4.3.0), for current releases of fhir.resources have none of R4 (4.0.1). Of the resources
that this package reads and writes – DocumentReference, Condition, Procedure, MedicationStatement, Observation,
FamilyMemberHistory, List, Device, Provenance, OperationOutcome and Bundle – and of their data types, R4B has exactly
R4's elements, types and cardinalities (compared with the R4 models of fhir.resources 6.2.2), but for an extension's
value: a Meta in R4 alone, a CodeableReference or RatioRange in R4B alone.

The models check names, types and cardinalities. They check neither required value sets nor invariants (``con-3``,
``obs-6``, ``att-1`` …), and they read base64 leniently: what matters of these is checked where it is used.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fhir.resources.R4B.fhirresourcemodel import FHIRResourceModel
from pydantic import ValidationError

from clincode.errors import RequestError

ModelT = TypeVar("ModelT", bound=FHIRResourceModel)

MAX_OBJECTS = 5000

_END = object()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,39}")
_FAULTS = {
    "missing": ("missing", "is required"),
    "model_field_validation.missing": ("missing", "is required"),
    "extra_forbidden": ("unknown_field", "is not an element of this resource"),
}


def join_path(prefix: str, path: str) -> str:
    """``content[0]`` below ``entry[2].resource`` → ``entry[2].resource.content[0]``."""
    return f"{prefix}.{path}" if prefix and path else prefix or path


def validate(model: type[ModelT], resource: Mapping[str, Any], prefix: str = "") -> ModelT:
    """The resource as a model; ``prefix`` is the path of the resource in what was posted.

    Raises:
        RequestError: 422 with the path of the first fault. No value of the resource is quoted.
    """
    try:
        return model.model_validate(resource)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = join_path(prefix, _path(fault["loc"]))
        code, detail = _FAULTS.get(fault["type"], ("invalid_value", "does not fit FHIR R4"))
        raise RequestError(code, f"'{path}' {detail}", path or None) from None
    except Exception:  # the library lets KeyError, RecursionError and others through
        raise RequestError("invalid_resource", "the resource does not fit FHIR R4", prefix or None) from None


def check_objects(resource: Mapping[str, Any], prefix: str = "") -> None:
    """Refuses (422) a resource of more than 5,000 JSON objects: the models take 20 µs and more for each."""
    count, rest = 0, [iter([resource])]
    while rest:
        value = next(rest[-1], _END)
        if value is _END:
            rest.pop()
        elif isinstance(value, Mapping):
            count += 1
            rest.append(iter(value.values()))
        elif isinstance(value, list):
            rest.append(iter(value))
        if count > MAX_OBJECTS:
            raise RequestError("too_many_elements", f"the resource has over {MAX_OBJECTS} elements", prefix or None)


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "root" and _NAME.fullmatch(part):  # else a name of the library's own, or of the client's making
            path = join_path(path, part)
    return path
