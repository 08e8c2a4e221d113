"""The refusals of access control, each with the headers of its answer. What a refusal says is constant: it never tells
an unknown key from a revoked one, or a wrong code from a used one."""

from collections.abc import Mapping
from urllib.parse import quote

from gateway.errors import GatewayError
from gateway.security.permissions import Permission


class UnauthenticatedError(GatewayError):
    """401: nobody is known to ask."""

    def __init__(self) -> None:
        super().__init__(401, "unauthenticated", "a valid API key, bearer token or session is needed")
        self.headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class LoginNeededError(UnauthenticatedError):
    """The same for a person who opens a page: the redirect to the login page, which leads back here."""

    def __init__(self, next_path: str) -> None:
        super().__init__()
        self.status = 303
        self.headers = {"Location": f"/login?next={quote(next_path, safe='')}"}


class ForbiddenError(GatewayError):
    def __init__(self, permission: Permission) -> None:
        super().__init__(403, "forbidden", f"this needs the permission '{permission}'")


class NoRoleError(GatewayError):
    """The identity provider knows them, and gives them no role here."""

    def __init__(self) -> None:
        super().__init__(403, "no_role", "this account has no role here")


class CsrfError(GatewayError):
    def __init__(self) -> None:
        super().__init__(403, "csrf", "the request does not come from a page of this gateway; load the page again")


class TooManyRequestsError(GatewayError):
    def __init__(self, retry_after: int, *, failures: bool = False) -> None:
        what = "failed attempts" if failures else "requests"
        super().__init__(429, "rate_limited", f"too many {what}; wait and try again", retry_after=retry_after)


class SignInError(GatewayError):
    """A sign-in with the identity provider that came to nothing. Why is not said to the browser."""

    def __init__(self) -> None:
        super().__init__(400, "sign_in_failed", "the sign-in could not be finished; please start again")


class ProviderUnavailableError(GatewayError):
    def __init__(self) -> None:
        message = "the identity provider does not answer at the moment"
        super().__init__(503, "identity_provider_unavailable", message, retry_after=10)
