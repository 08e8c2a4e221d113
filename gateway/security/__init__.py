"""Who may do what: API keys for services, OIDC and one-time logins for people, sessions, CSRF and rate limits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.security.build import Security

__all__ = ["Security"]


def __getattr__(name: str) -> Any:
    # Only when it is asked for: the audit log, on which it stands, takes its Principal from this package.
    if name == "Security":
        from gateway.security.build import Security

        return Security
    raise AttributeError(name)
