"""The pages' site, a client of it, and the site on a port for a browser."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from review_site import Site, make_site

from gateway.codes import CodePicker


@pytest.fixture(scope="session")
def codes() -> CodePicker:
    """The classification, built once and before anybody waits for it."""
    picker = CodePicker()
    picker.search("I10")
    return picker


@pytest.fixture
def site(tmp_path: Path, codes: CodePicker) -> Iterator[Site]:
    site = make_site(tmp_path, codes)
    yield site
    site.database.close()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    from fastapi.testclient import TestClient

    with TestClient(site.app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """The site on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(site.app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    site.url = f"http://127.0.0.1:{port}"
    yield site
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def make_note() -> Callable[..., tuple[str, dict[str, Any]]]:
    """A text and its answer: entities are (words, type, context …), codes (code, confidence, evidence, flags)."""
    return _make_note


def _make_note(
    text: str, entities: list[tuple[Any, ...]], codes: list[tuple[str, float, list[int], list[str]]]
) -> tuple[str, dict[str, Any]]:
    found = []
    for words, kind, *context in entities:
        start = text.index(words)
        said = context[0] if context else {}
        entity = {"text": words, "type": kind, "start_char": start, "end_char": start + len(words), "confidence": 0.9}
        entity |= {"certainty": "affirmed", "temporality": "current", "experiencer": "patient", "section": "ASSESSMENT"}
        found.append(entity | {"icd_codes": [], "expansion": None} | said)
    listed = [
        {"code": code, "description": f"Title of {code}", "confidence": each, "evidence": evidence, "flags": flags}
        for code, each, evidence, flags in codes
    ]
    return text, {"entities": found, "codes": listed}
