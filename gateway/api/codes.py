"""``/codes``: the classification for a code picker."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gateway.api.schemas import CodesResponse, faults
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services

router = APIRouter(tags=["codes"])


@router.get("/codes", response_model=CodesResponse, responses=faults(422))
def codes(
    request: Request,
    _: Annotated[Principal, require(Permission.CODES)],
    q: Annotated[str, Query(min_length=1, max_length=200, description="words, or the start of a code")],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    billable: Annotated[bool, Query(description="only codes that a claim may carry")] = False,
) -> object:
    """ICD-10-CM codes by words or by the start of a code, best first."""
    services: Services = request.app.state.services
    hits = services.codes.search(q, limit=limit, billable_only=billable)
    return {"release": services.codes.terminology.release, "codes": hits}
