"""Requests of ``/predict`` that fail while two model versions are compared, kept for the comparison.

A note that was accepted for later keeps its failures in its own row; a request that fails leaves none.
"""

from contextlib import suppress
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from clincode.errors import ClincodeError
from gateway.serving.routing import Routing
from gateway.storage.database import Database
from gateway.storage.tables import FailureRow

_OWN = {"queue_full"}
"""Refused before any version was asked."""
log = structlog.get_logger(__name__)


def is_failure(error: Exception) -> bool:
    """Whether the version that was to answer may be at fault; a note that is refused for itself (4xx) is not one."""
    if not isinstance(error, ClincodeError):
        return True
    return getattr(error, "status", 500) >= 500 and error.body.code not in _OWN


def keep_failure(database: Database, routing: Routing, note_id: str, error: Exception) -> None:
    """Keep it where a canary or an experiment is on. Never raises: the client is to learn of its own fault."""
    if not (routing.canary or routing.experiment) or not is_failure(error):
        return
    code = error.body.code if isinstance(error, ClincodeError) else "internal_error"
    row = FailureRow(note_id=note_id, at=datetime.now(UTC), route=routing.target_for(note_id), code=code[:64])
    try:
        with suppress(IntegrityError), database.transaction() as session:
            if session.get(FailureRow, note_id) is None:
                session.add(row)
    except SQLAlchemyError as fault:
        log.error("failure_not_kept", error=type(fault).__name__)
