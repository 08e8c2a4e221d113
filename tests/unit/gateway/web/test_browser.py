"""A coder at the pages, in a real browser: keys, mouse, what is lit, what is saved, and who else decides."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from review_site import Site

from gateway.review.decisions import parse_decision
from gateway.security.permissions import PERMISSIONS, Principal, Role

expect.set_options(timeout=15_000)
CHROMIUM = Path("/usr/bin/chromium")
JOHN = Principal("user:john", Role.CODER, PERMISSIONS[Role.CODER])
MakeNote = Callable[..., tuple[str, dict[str, Any]]]
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, served: Site) -> Iterator[Page]:
    """Fails the test where the page's console has a fault, as a refusal by the content security policy is."""
    faults: list[str] = []
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert [fault for fault in faults if "status of 4" not in fault] == []


@pytest.fixture
def note_id(served: Site, make_note: MakeNote) -> str:
    text, answer = make_note(
        "🩺 Type 2 diabetes.\r\nDenies chest pain.\nTook metformin 500 mg daily for years.",
        [
            ("Type 2 diabetes", "DIAGNOSIS"),
            ("chest pain", "DIAGNOSIS", {"certainty": "negated"}),
            ("chest", "ANATOMY"),
            ("metformin", "MEDICATION"),
        ],
        [("E11.9", 0.9, [0], []), ("R07.9", 0.4, [1], ["unspecified"]), ("Z79.84", 0.6, [3], [])],
    )
    return served.add(text=text, answer=answer)


def _open(page: Page, note_id: str) -> None:
    page.goto(f"/review/notes/{note_id}")
    page.wait_for_load_state("networkidle")


def _version(page: Page, number: int) -> None:
    expect(page.locator("[data-review]")).to_have_attribute("data-version", str(number))


def _options(page: Page) -> Any:
    return page.get_by_role("listbox", name="Codes").get_by_role("option")


def _card(page: Page, code: str) -> Any:
    return page.locator(f'[data-code="{code}"]').first


def test_a_review_by_keys_alone(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    page.keyboard.press("j")
    expect(_card(page, "E11.9")).to_have_attribute("aria-current", "true")
    expect(page.locator('[data-e="0"]').first).to_have_class("m D lit")
    page.keyboard.press("a")
    expect(_card(page, "E11.9")).to_have_attribute("data-verdict", "accepted")
    expect(_card(page, "E11.9")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(_card(page, "R07.9")).to_have_attribute("data-verdict", "rejected")
    _card(page, "R07.9").get_by_label("Reason to reject R07.9").select_option("wrong_context")
    _version(page, 3)
    _card(page, "R07.9").focus()
    page.keyboard.press("j")
    page.keyboard.press("r")
    query = page.get_by_role("combobox", name="Words, or the start of a code")
    expect(query).to_have_value("Z79")
    query.fill("long term insulin")
    expect(_options(page).first).to_contain_text("Z79.4")
    page.keyboard.press("Enter")
    expect(_card(page, "Z79.84")).to_have_attribute("data-verdict", "replaced")
    page.keyboard.press("u")
    expect(_card(page, "Z79.84")).to_have_attribute("data-verdict", "undecided")
    page.keyboard.press("e")
    page.keyboard.press("e")
    expect(page.locator("[data-entity]")).to_have_attribute("data-entity", "1")
    page.keyboard.press("x")
    expect(page.locator("[data-entity]")).to_have_attribute("data-verdict", "rejected")
    page.keyboard.press("f")
    dialog = page.get_by_role("dialog", name="Finish the review")
    expect(dialog).to_contain_text("1 code is not decided: Z79.84.")
    page.keyboard.type("a word")
    dialog.get_by_role("button", name="Accept the 1 that remain and finish").click()
    expect(page.get_by_text("Finished by maria")).to_be_visible()
    state = served.store.read(note_id).state
    assert [code.verdict for code in state.codes] == ["accepted", "rejected", "accepted"]
    assert (state.codes[1].reason, state.comment, state.entities[1].verdict) == ("wrong_context", "a word", "rejected")
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Finish", exact=True)).to_be_visible()


def test_offsets_are_code_points_of_the_note_as_it_was_sent(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    page.locator('[data-e="3"]').click()
    expect(page.locator("[data-entity]")).to_have_attribute("data-entity", "3")
    page.keyboard.press("s")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-span-words]")).to_have_text("“metformin 500 mg”")
    page.keyboard.press("Enter")
    _version(page, 1)
    changed = served.store.read(note_id).state.entities[3]
    assert (changed.text, changed.verdict) == ("metformin 500 mg", "corrected")
    page.keyboard.press("s")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    expect(page.locator("[data-spanbar]")).to_be_hidden()
    # With the mouse: a double click marks a word.
    box = page.evaluate(
        """() => { const text = document.querySelector('[data-text]'), walk = document.createTreeWalker(text, 4);
        for (let n = walk.nextNode(); n; n = walk.nextNode()) { const at = n.data.indexOf('years');
        if (at >= 0) { const r = document.createRange(); r.setStart(n, at); r.setEnd(n, at + 5);
        const b = r.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; } } }"""
    )
    page.mouse.dblclick(*box)
    expect(page.locator("[data-span-words]")).to_have_text("“years”")
    page.get_by_role("toolbar", name="Marked words").get_by_role("button", name="Test").click()
    _version(page, 2)
    added = served.store.read(note_id).state.entity("d2")
    assert added is not None
    assert (added.text, added.type) == ("years", "TEST")
    page.keyboard.press("2")
    _version(page, 3)
    changed_type = served.store.read(note_id).state.entity("d2")
    assert changed_type is not None
    assert changed_type.type == "PROCEDURE"


def test_a_click_on_words_of_two_entities_goes_from_the_inner_to_the_outer(page: Page, note_id: str) -> None:
    _open(page, note_id)
    for expected in ("2", "1", "2"):
        page.locator('[data-e="1 2"]').click()
        expect(page.locator("[data-entity]")).to_have_attribute("data-entity", expected)


def test_evidence_and_codes_light_each_other(page: Page, note_id: str) -> None:
    _open(page, note_id)
    _card(page, "R07.9").hover()
    expect(page.locator('[data-e="1 2"]')).to_have_class("m A oD lit")
    page.locator('[data-e="0"]').hover()
    expect(_card(page, "E11.9").locator("[data-evidence]")).to_have_class("ev D lit")
    _card(page, "Z79.84").get_by_role("button", name="metformin").click()
    expect(page.locator("[data-entity]")).to_have_attribute("data-entity", "3")


def test_a_code_is_added_with_the_selected_entity_as_evidence(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    page.keyboard.press("e")
    expect(page.locator("[data-entity]")).to_have_attribute("data-entity", "0")
    page.keyboard.press("+")
    query = page.get_by_role("combobox", name="Words, or the start of a code")
    expect(query).to_have_value("Type 2 diabetes")
    query.fill("E11")
    expect(_options(page).first).to_contain_text("E11")
    page.keyboard.press("Enter")  # not billable: opens what is below
    query.fill("E11.65")
    expect(_options(page)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(_card(page, "E11.65")).to_be_focused()
    assert served.store.read(note_id).state.codes[-1].evidence == ("0",)
    page.keyboard.press("u")
    expect(_card(page, "E11.65")).to_have_count(0)


def test_the_context_is_changed_by_its_fields(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    page.locator('[data-e="0"]').click()
    page.get_by_label("Whose").focus()
    page.get_by_label("Whose").select_option("family")
    _version(page, 1)
    expect(page.get_by_label("Whose")).to_be_focused()
    expect(page.locator('[data-e="0"]').first).to_have_attribute("data-m", "D✎ fam")
    assert served.store.read(note_id).state.entities[0].experiencer == "family"


def test_who_comes_late_is_told_and_can_load_again(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    served.store.decide(note_id, JOHN, parse_decision({"kind": "reject_code", "code": "E11.9"}), 0)
    page.get_by_role("button", name="Accept E11.9").click()
    expect(page.get_by_role("alert")).to_contain_text("john decided on this note meanwhile")
    page.get_by_role("button", name="Load the note again").click()
    expect(_card(page, "E11.9")).to_have_attribute("data-verdict", "rejected")
    _version(page, 1)


def test_single_keys_can_be_switched_off_and_rest_while_somebody_types(page: Page, served: Site, note_id: str) -> None:
    _open(page, note_id)
    page.keyboard.press("f")
    page.keyboard.type("jax?")
    expect(page.get_by_label("Comment")).to_have_value("jax?")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keys: on").click()
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator("[aria-current=true]")).to_have_count(0)
    page.locator("[data-text]").focus()
    page.keyboard.press("ArrowRight")  # is no single letter, and goes on
    expect(page.locator("[data-entity]")).to_have_attribute("data-entity", "0")
    assert served.store.read(note_id).state.version == 0
    page.get_by_role("button", name="Keys: off").click()


def test_the_worklist_by_keys(page: Page, served: Site, note_id: str) -> None:
    second = served.add()
    page.goto("/review")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/notes/{second}")
    page.keyboard.press("n")
    page.wait_for_url(f"**/review/notes/{note_id}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(browser: Browser, served: Site, note_id: str, scheme: Any) -> None:
    """axe finds no fault on any page, with its dialogs open too."""
    served.add(state="dead", answer=None, error="analysis_failed")
    context = browser.new_context(base_url=served.url, color_scheme=scheme)
    page = context.new_page()
    faults: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found = Axe().run(page).response["violations"]
        faults[name] = [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found]

    page.goto("/review?stage=all")
    look("worklist")
    page.goto("/review/notes/unknown")
    look("error")
    _open(page, note_id)
    page.keyboard.press("j")
    page.keyboard.press("x")
    _version(page, 1)
    page.keyboard.press("j")
    page.keyboard.press("a")
    _version(page, 2)
    page.keyboard.press("e")
    page.keyboard.press("e")
    page.keyboard.press("x")
    _version(page, 3)
    page.keyboard.press("e")
    look("note")
    page.keyboard.press("s")
    look("span")
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    _options(page).first.wait_for()
    look("picker")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    look("help")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    look("finish")
    page.get_by_role("button", name="that remain and finish").click()
    page.get_by_text("Finished by maria").wait_for()
    look("finished")
    page.goto("/review/overview")
    look("overview")
    context.close()
    assert {name: found for name, found in faults.items() if found} == {}
