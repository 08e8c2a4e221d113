"""A real headless Chromium, Debian's or whichever ``CLINCODE_CHROMIUM`` names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",  # root has none, and all it opens is the tests' own gateway
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """The program's path."""
    return os.environ.get("CLINCODE_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium here: install the package chromium, or set CLINCODE_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def person(browser: Browser, login_url: str) -> Iterator[Page]:
    """A page of somebody who has just logged in by a one-time address, in a browser profile of their own. Whatever the
    page writes to the console as an error, and whatever opens a dialog, fails the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on("dialog", lambda shown: (faults.append(f"dialog: {shown.message}"), shown.dismiss()))
    page.on("console", lambda line: faults.append(line.text) if _is_fault(line.type, line.text) else None)
    page.set_default_timeout(15_000)
    page.goto(login_url)
    page.get_by_label("One-time code").press("Enter")  # the code is filled in
    page.wait_for_url("**/review**", wait_until="domcontentloaded")
    yield page
    context.close()
    assert faults == []


def _is_fault(kind: str, text: str) -> bool:
    # A refusal that a test provokes is logged by the browser itself.
    return kind == "error" and "the server responded with a status of 4" not in text
