"""Which addresses are the gateway's own: as a Host, as an Origin and as the place to go to after a login."""

import ipaddress
from urllib.parse import urlsplit

from gateway.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MOST_PATH_CHARS = 2000


def is_own_origin(origin: str, host: str, settings: Settings) -> bool:
    """Whether a page of this origin is the gateway's own: of its address, of loopback's names where it listens there,
    else of the name that the request is addressed to (``host``), under which a browser keeps the cookie."""
    own = urlsplit(settings.url)
    origins = {f"{own.scheme}://{own.netloc}"}
    if settings.is_loopback:
        origins |= {f"http://{name}:{settings.gateway_port}" for name in _LOOPBACK}
    elif host:
        origins |= {f"http://{host}", f"https://{host}"}
    return origin.lower() in {each.lower() for each in origins}


def own_hosts(settings: Settings) -> frozenset[str]:
    """Names that a request may be addressed to, beside plain addresses."""
    return frozenset({urlsplit(settings.url).hostname or "", settings.gateway_host.lower(), "localhost"})


def is_own_host(header: str, hosts: frozenset[str]) -> bool:
    """Whether a Host header names the gateway. A plain IP address always does: what this is to stop is another site
    that lets a name of its own point here."""
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:
        return False
    if not name or any(c in header for c in "/?#@\\ "):
        return False
    name = name.rstrip(".")
    if name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def local_path(value: str | None, default: str = "/review") -> str:
    """Where to go after a login: a path of this gateway as it was asked for, else the default. What a browser would
    take for another site's address ("//evil", "/\\evil", "https:", a tab in between) is none."""
    if not value or len(value) > MOST_PATH_CHARS or not value.startswith("/") or value.startswith("//"):
        return default
    if "\\" in value or not value.isascii() or not value.isprintable() or " " in value:
        return default
    return value
