"""How secrets that were handed out are known again: the database has their HMAC alone."""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime

from gateway.errors import GatewayError

MOST_USER_CHARS = 120
_USER = re.compile(r"[^\s\x00-\x1f\x7f]{1,120}")


def new_secret(size: int = 32) -> str:
    """``size`` random bytes in URL-safe base64."""
    return secrets.token_urlsafe(size)


def mac(key: bytes, secret: str) -> str:
    """64 hex digits. Keyed, so that who can write to the database alone cannot put in a secret of their own."""
    return hmac.new(key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compared in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def now() -> datetime:
    return datetime.now(UTC)


def is_user_name(value: object) -> bool:
    """Whether it can stand for a person in the audit log: printable, without blanks, at most 120 characters."""
    return isinstance(value, str) and _USER.fullmatch(value) is not None and value.isprintable()


def checked_user_name(value: str) -> str:
    if not is_user_name(value):
        raise GatewayError(
            422, "bad_user", f"a user name has 1 to {MOST_USER_CHARS} printable characters and no blanks", "user"
        )
    return value
