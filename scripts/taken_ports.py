"""Reads addresses (``http://host:port``) and ports, one a line, and prints those that another program holds."""

import socket
import sys
from urllib.parse import urlsplit


def taken(line: str) -> bool:
    """Whether the address cannot be bound; a bare port is taken for one of 127.0.0.1."""
    parts = urlsplit(line if "//" in line else f"//127.0.0.1:{line}")
    with socket.socket() as probe:
        # Without this a port that was served a minute ago would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((parts.hostname or "127.0.0.1", parts.port or 80))
        except OSError:
            return True
    return False


print(", ".join(line for line in map(str.strip, sys.stdin) if line and taken(line)))
