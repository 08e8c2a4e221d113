"""The refusals of access control, each with the headers it needs. What a refusal says is constant: it never tells an
unknown key from a revoked one, or a wrong code from a used one."""

from urllib.parse import quote

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from clincode.errors import ClincodeError
from gateway.errors import GatewayError
from gateway.security.permissions import Permission


class UnauthenticatedError(GatewayError):
    """401: nobody is known to ask."""

    def __init__(self) -> None:
        super().__init__(401, "unauthenticated", "a valid API key, bearer token or session is needed")


class LoginNeededError(UnauthenticatedError):
    """The same for a person who opens a page: to be answered with a redirect to ``location``."""

    def __init__(self, next_path: str) -> None:
        super().__init__()
        self.location = f"/login?next={quote(next_path, safe='')}"


class ForbiddenError(GatewayError):
    def __init__(self, permission: Permission) -> None:
        super().__init__(403, "forbidden", f"this needs the permission '{permission}'")


class CsrfError(GatewayError):
    def __init__(self) -> None:
        super().__init__(403, "csrf", "the request does not come from a page of this gateway; load the page again")


class TooManyRequestsError(GatewayError):
    def __init__(self, retry_after: int, *, failures: bool = False) -> None:
        what = "failed attempts" if failures else "requests"
        super().__init__(429, "rate_limited", f"too many {what}; wait and try again", retry_after=retry_after)


def refusal_response(_request: Request, error: Exception) -> Response:
    """The answer to any ``ClincodeError``, to be set as the app's exception handler: the error envelope with
    ``Retry-After`` and ``WWW-Authenticate`` where they belong, or the redirect to the login page."""
    if not isinstance(error, ClincodeError):
        raise error
    if isinstance(error, LoginNeededError):
        return RedirectResponse(error.location, status_code=303)
    headers = {}
    if isinstance(error, GatewayError) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body.to_dict(), status_code=error.status, headers=headers)
