"""A coder reviews notes in a real browser: from login to finish, by mouse and by keyboard alone, and the export has
exactly what was decided."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .browser import person, running_browser
from .conftest import Server
from .gateway_server import Gateway, running_gateway

pytestmark = pytest.mark.integration

NOTE = (
    "CHIEF COMPLAINT: Cough.\n\nHPI: Mrs. Dolores Pfeiffer has community-acquired pneumonia and atrial fibrillation. "
    "She denies chest pain. Father had colon cancer.\n\nASSESSMENT: Pneumonia. Atrial fibrillation. Gout. "
    "Continue apixaban 5 mg."
)
HOSTILE = '<script>window.stolen=1</script><img src=x onerror="window.stolen=1">\'"&amp;</textarea></title>'


@pytest.fixture(scope="module")
def gateway(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(server, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def predicted(gateway: Gateway, text: str = NOTE, **changes: Any) -> str:
    """The id of a note that waits in the worklist."""
    note_id = str(uuid4())
    body = {"note_id": note_id, "note_text": text, "note_type": "progress_note", **changes}
    with gateway.client() as client:
        client.post("/api/v1/predict", json=body).raise_for_status()
    return note_id


def exported(gateway: Gateway, folder: Path, note_id: str) -> dict[str, Any]:
    out = folder / "export.jsonl"
    gateway.clincode("feedback", "export", "--out", str(out))
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    (record,) = [each for each in records if each["id"] == note_id]
    return record


def decided(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Kind and what was said, without what the page did not send and what is kept beside it."""
    return [
        (each["kind"], {name: value for name, value in each["body"].items() if value and name not in {"kind", "known"}})
        for each in record["decisions"]
    ]


def open_note(page: Page, note_id: str) -> None:
    page.goto(page.url.partition("/review")[0] + f"/review/notes/{note_id}")
    expect(page.locator("[data-review]")).to_have_attribute("data-note-id", note_id)


def codes(page: Page) -> list[str]:
    return [str(card.get_attribute("data-code")) for card in page.locator("[data-part=codes] [data-code]").all()]


def wait_for_version(page: Page, version: int) -> None:
    expect(page.locator("[data-review]")).to_have_attribute("data-version", str(version))


def entity_key(page: Page, words: str) -> str:
    """The key of the entity whose piece in the note has these words."""
    piece = page.locator("[data-text] [data-e]", has_text=words).first
    return str(piece.get_attribute("data-e")).split()[0]


def test_a_review_with_the_mouse(gateway: Gateway, browser: Browser, tmp_path: Path) -> None:
    note_id = predicted(gateway, priority="urgent", metadata={"department": "Pulmonology"})
    with person(browser, gateway.login_url("maria")) as page:
        row = page.locator("tbody tr", has_text="Pulmonology")
        expect(row).to_contain_text("Urgent")
        row.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Progress note")).to_be_visible()
        assert "Pfeiffer" not in page.content()
        suggested = codes(page)
        assert {"J18.9", "I48.91", "M10.9"} <= set(suggested)

        # A selected code lights its evidence up, and an entity the code that stands on it.
        page.locator("[data-code='M10.9'] h3").click()
        gout = page.locator(f"[data-text] [data-e~='{entity_key(page, 'Gout')}']").first
        expect(gout).to_have_class(has_class("lit"))
        gout.click()
        expect(page.locator("[data-part=entity] [data-entity]")).to_contain_text("Gout")
        expect(page.locator("[data-code='M10.9'] [data-evidence]").first).to_have_class(has_class("lit"))

        page.get_by_role("button", name="Reject M10.9").click()
        wait_for_version(page, 1)
        expect(page.locator("[data-code='M10.9']")).to_have_attribute("data-verdict", "rejected")

        page.get_by_role("button", name="Replace I48.91").click()
        search = page.get_by_label("Words, or the start of a code")
        search.fill("paroxysmal atrial fibrillation")
        page.get_by_role("option", name="I48.0").click()
        wait_for_version(page, 2)
        expect(page.locator("[data-part=codes] [data-code='I48.91']")).to_contain_text("I48.0")

        # The span of "apixaban 5 mg" is cut down to the drug by marking its words.
        piece = page.locator("[data-text] [data-e]", has_text="apixaban").first
        key = entity_key(page, "apixaban")
        piece.click()
        expect(page.locator("[data-part=entity] [data-entity]")).to_contain_text("apixaban")
        mark_words(page, "apixaban")
        page.locator("[data-span=set]").click()
        wait_for_version(page, 3)

        page.locator("[data-do=finish]").click()
        page.get_by_label("Comment").fill("Type of fibrillation is in the referral.")
        page.locator("[data-finish-go]").click()
        expect(page.locator("[data-part=banner]")).to_contain_text("Finished by maria")

    record = exported(gateway, tmp_path, note_id)
    start = NOTE.index("apixaban")
    accepted = [code for code in suggested if code not in {"M10.9", "I48.91"}]
    assert {each["by"] for each in record["decisions"]} == {"user:maria"}
    assert decided(record) == [
        ("reject_code", {"code": "M10.9"}),
        ("replace_code", {"code": "I48.91", "new_code": "I48.0"}),
        ("change_span", {"entity": key, "start_char": start, "end_char": start + len("apixaban")}),
        *(("accept_code", {"code": code}) for code in accepted),
        ("finish", {"comment": "Type of fibrillation is in the referral."}),
    ]
    assert {code["code"] for code in record["codes"]} == {*accepted, "I48.0"}


def test_a_review_with_the_keyboard_alone(gateway: Gateway, browser: Browser, tmp_path: Path) -> None:
    note_id = predicted(gateway)
    with person(browser, gateway.login_url("jonas")) as page:
        open_note(page, note_id)
        first, *others = codes(page)
        press = page.keyboard.press
        press("j")
        press("a")
        wait_for_version(page, 1)
        expect(page.locator(f"[data-code='{first}']")).to_have_attribute("data-verdict", "accepted")
        press("u")
        wait_for_version(page, 2)
        press("x")
        wait_for_version(page, 3)
        press("e")
        expect(page.locator("[data-part=entity] [data-entity]")).to_be_visible()
        press("a")
        wait_for_version(page, 4)
        key = str(page.locator("[data-part=entity] [data-entity]").get_attribute("data-entity"))
        press("+")
        search = page.get_by_label("Words, or the start of a code")
        expect(search).to_be_focused()
        search.fill("hypertension essential")
        expect(page.get_by_role("option", name="I10").first).to_be_visible()
        press("ArrowDown")
        if page.locator("[role=option][aria-selected=true]", has_text="I10").count() == 0:
            press("ArrowUp")
        press("Enter")
        wait_for_version(page, 5)
        press("f")
        expect(page.get_by_label("Comment")).to_be_visible()
        page.locator("[data-finish-go]").focus()
        press("Enter")
        expect(page.locator("[data-part=banner]")).to_contain_text("Finished by jonas")
        press("n")
        page.wait_for_url(lambda url: note_id not in url)
    record = exported(gateway, tmp_path, note_id)
    assert decided(record) == [
        ("accept_code", {"code": first}),
        ("clear", {"target": f"code:{first}"}),
        ("reject_code", {"code": first}),
        ("accept_entity", {"entity": key}),
        ("add_code", {"code": "I10", "evidence": [key]}),
        *(("accept_code", {"code": code}) for code in others),
        ("finish", {}),
    ]


def test_two_coders_do_not_overwrite_each_other(gateway: Gateway, browser: Browser, tmp_path: Path) -> None:
    note_id = predicted(gateway)
    maria, jonas = gateway.login_url("maria"), gateway.login_url("jonas")
    with person(browser, maria) as first, person(browser, jonas) as second:
        open_note(first, note_id)
        open_note(second, note_id)
        first.get_by_role("button", name="Accept J18.9").click()
        wait_for_version(first, 1)
        second.get_by_role("button", name="Reject J18.9").click()
        expect(second.get_by_role("alert")).to_contain_text("maria")
        second.locator("[data-reload]").click()
        wait_for_version(second, 1)
        expect(second.locator("[data-code='J18.9']")).to_have_attribute("data-verdict", "accepted")
        second.get_by_role("button", name="Undo J18.9").click()
        wait_for_version(second, 2)


def test_what_a_note_says_is_never_run(gateway: Gateway, browser: Browser) -> None:
    """Text, ids and metadata that try to be a page of their own."""
    metadata = {"department": HOSTILE[:250], "encounter_id": HOSTILE[:250], "provider_id": HOSTILE[:250]}
    note_id = predicted(gateway, f"{HOSTILE} Pneumonia. {HOSTILE}\nGout {HOSTILE}", metadata=metadata)
    with person(browser, gateway.login_url("maria", "supervisor")) as page:
        expect(page.locator("tbody")).to_contain_text("<script>")
        open_note(page, note_id)
        expect(page.locator("[data-text]")).to_contain_text("<script>window.stolen=1</script>")
        page.locator("[data-text] [data-e]").first.click()
        page.get_by_role("button", name="Replace J18.9").click()
        page.get_by_label("Words, or the start of a code").fill("<img src=x onerror=alert(1)>")
        page.wait_for_timeout(500)
        page.keyboard.press("Escape")
        page.locator("[data-do=finish]").click()
        page.get_by_label("Comment").fill(HOSTILE)
        page.locator("[data-finish-go]").click()
        expect(page.locator("[data-part=banner] q")).to_contain_text("<script>")
        page.goto(f"{gateway.url}/review/overview")
        page.goto(f"{gateway.url}/review?department=%3Cscript%3Ewindow.stolen=1%3C/script%3E")
        assert page.evaluate("window.stolen") is None
        assert page.locator("script:not([src])").count() == 0


PAGES = ["login", "worklist", "note", "entity", "picker", "finish", "help", "overview", "not found"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_violation(gateway: Gateway, browser: Browser, scheme: Any) -> None:
    note_id = predicted(gateway, metadata={"department": "Pulmonology"})
    with person(browser, gateway.login_url("maria", "supervisor")) as page:
        page.emulate_media(color_scheme=scheme)
        found: dict[str, list[str]] = {}
        for name in PAGES:
            show(page, gateway, name, note_id)
            found[name] = serious(page)
        # The login page is for who is not logged in.
        page.context.clear_cookies()
        page.goto(f"{gateway.url}/login")
        found["login"] = serious(page)
        assert {name: faults for name, faults in found.items() if faults} == {}


def show(page: Page, gateway: Gateway, name: str, note_id: str) -> None:
    if name == "overview":
        page.goto(f"{gateway.url}/review/overview")
    elif name == "worklist":
        page.goto(f"{gateway.url}/review")
    elif name == "not found":
        page.goto(f"{gateway.url}/review/notes/{uuid4()}")
    elif name != "login":
        open_note(page, note_id)
        keys = {"entity": "e", "picker": "+", "finish": "f", "help": "?"}
        if name in keys:
            page.keyboard.press(keys[name])
            page.wait_for_timeout(300)


def serious(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in violations
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


def mark_words(page: Page, words: str) -> None:
    """Select words of the note as a mouse does."""
    page.evaluate(
        """(words) => {
          const root = document.querySelector("[data-text]");
          const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const at = node.data.indexOf(words);
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + words.length);
            getSelection().removeAllRanges();
            getSelection().addRange(range);
            root.dispatchEvent(new MouseEvent("mouseup", {bubbles: true}));
            document.dispatchEvent(new Event("selectionchange"));
            return;
          }
        }""",
        words,
    )


def has_class(name: str) -> re.Pattern[str]:
    """A class among others."""
    return re.compile(rf"(^|\s){name}(\s|$)")
