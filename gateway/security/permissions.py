"""Roles, and what each may do: one table, which the routes and their tests read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """What a route asks for. An API key's scopes are these names."""

    PREDICT = "predict"
    NOTES_WRITE = "notes:write"
    NOTES_READ = "notes:read"
    CODES = "codes"
    HEALTH = "health"
    METRICS = "metrics"
    REVIEW = "review"
    OVERVIEW = "overview"
    FEEDBACK = "feedback"
    JOBS = "jobs"
    """See and requeue what was set aside."""
    ORIGINAL = "notes:original"
    """Read a note as it was sent, where it is stored."""
    ADMIN = "admin"
    """Keys, people and the audit log."""


class Role(StrEnum):
    SERVICE = "service"
    CODER = "coder"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


_CODER = frozenset({Permission.CODES, Permission.HEALTH, Permission.REVIEW})
_SUPERVISOR = _CODER | {
    Permission.NOTES_READ,
    Permission.OVERVIEW,
    Permission.FEEDBACK,
    Permission.JOBS,
    Permission.ORIGINAL,
}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.SERVICE: frozenset(
        {
            Permission.PREDICT,
            Permission.NOTES_WRITE,
            Permission.NOTES_READ,
            Permission.CODES,
            Permission.HEALTH,
            Permission.METRICS,
        }
    ),
    Role.CODER: _CODER,
    Role.SUPERVISOR: _SUPERVISOR,
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: ``name`` stands in the audit log ("key:ehr", "user:maria"), ``permissions`` are the role's, or fewer
    where a key has scopes."""

    name: str
    role: Role
    permissions: frozenset[Permission]

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


SYSTEM = Principal("system", Role.ADMIN, frozenset())
"""In whose name the gateway itself acts: the worker, the purge."""
LOCAL = Principal("local", Role.ADMIN, frozenset(Permission))
"""Everybody, where authentication is off."""
