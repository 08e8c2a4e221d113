"""The pages as they are sent: what stands in them, with which headers, and that nothing of a note becomes markup."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from review_site import TOKEN, Site
from sqlalchemy import text as sql

from gateway.security.permissions import Role
from gateway.web.pages import STATIC
from gateway.web.words import FLAGS

MakeNote = Callable[..., tuple[str, dict[str, Any]]]
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"


@pytest.fixture
def note_id(site: Site, make_note: MakeNote) -> str:
    text, answer = make_note(
        "Type 2 diabetes. Denies chest pain. Metformin.",
        [
            ("Type 2 diabetes", "DIAGNOSIS"),
            ("chest pain", "DIAGNOSIS", {"certainty": "negated"}),
            ("Metformin", "MEDICATION"),
        ],
        [("E11.9", 0.9, [0], []), ("Z79.84", 0.6, [2], ["unspecified"])],
    )
    return site.add(text=text, answer=answer, department="Medicine")


def _decide(client: httpx.Client, note_id: str, version: int, **decision: Any) -> httpx.Response:
    return client.post(f"/review/notes/{note_id}/decisions", json={"version": version, "decision": decision})


@pytest.mark.parametrize("path", ["/review", "/review/overview", "/review/notes/{id}", "/review/notes/unknown"])
def test_every_page_lets_nothing_run_but_ours_and_is_not_kept(client: httpx.Client, note_id: str, path: str) -> None:
    response = client.get(path.format(id=note_id))
    assert response.status_code == (404 if "unknown" in path else 200)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["cache-control"] == "no-store"
    html = response.text
    assert not re.search(r"<[^>]+\s(style|on\w+)=", html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"(src|href)=\"?(https?:)?//", html)
    assert f'<meta name="csrf-token" content="{TOKEN}">' in html
    assert html.count("<h1>") == 1


def test_nothing_of_a_note_becomes_markup(client: httpx.Client, site: Site, make_note: MakeNote) -> None:
    text, answer = make_note(f"pain {EVIL} pain", [(EVIL, "TEST", {"section": EVIL, "expansion": EVIL})], [])
    answer["codes"] = [
        {"code": "R52", "description": EVIL, "confidence": 0.5, "evidence": [0], "flags": [EVIL]},
    ]
    answer["entities"][0]["icd_codes"] = [{"code": "R52", "description": EVIL, "confidence": 0.5}]
    answer["entities"][0]["negation_trigger"] = EVIL
    where = {"department": EVIL, "encounter_id": EVIL, "provider_id": EVIL, "model_version": EVIL, "sent_id": EVIL[:60]}
    note_id = site.add(
        text=text, answer=answer, redactions=[{"start_char": 0, "end_char": 2, "category": EVIL}], **where
    )
    site.who.name = f"user:{EVIL}"
    client.get(f"/review/notes/{note_id}")
    decided = _decide(client, note_id, 0, kind="reject_entity", entity="0").json()
    finished = [
        _decide(client, note_id, 1, kind="accept_code", code="R52").json(),
        _decide(client, note_id, 2, kind="finish", comment=EVIL).json(),
    ]
    pages = [
        client.get(path).text
        for path in (f"/review/notes/{note_id}", "/review?stage=all", "/review/overview", f"/review?department={EVIL}")
    ]
    shown = client.get(f"/review/notes/{note_id}/entities/0").json()["entity"]
    for html in [*pages, shown, *(part for each in (decided, *finished) for part in each["parts"].values())]:
        assert "<script>" not in html
        assert "<img" not in html
    assert ESCAPED in pages[0]
    assert ESCAPED in shown


def test_the_note_page_shows_what_the_model_suggests(client: httpx.Client, note_id: str) -> None:
    html = client.get(f"/review/notes/{note_id}").text
    assert 'data-version="0"' in html
    assert html.count('data-verdict="undecided"') == 2
    assert "The title leaves something open" in html
    assert "0 of 2 codes decided" in html
    assert 'class="m D negated" data-e="1" data-m="D no"' in html


def test_opening_is_audited_once(client: httpx.Client, site: Site, note_id: str) -> None:
    client.get(f"/review/notes/{note_id}")
    client.get(f"/review/notes/{note_id}/entities/0")
    assert site.store.read(note_id).note.reviewer == "user:maria"
    with site.database.reading() as session:
        assert session.execute(sql("SELECT action FROM audit")).all() == [("note.viewed",)]


def test_a_decision_gives_the_parts_that_changed(client: httpx.Client, note_id: str) -> None:
    first = _decide(client, note_id, 0, kind="accept_code", code="E11.9").json()
    assert (first["version"], first["finished"]) == (1, False)
    assert set(first["parts"]) == {"codes", "progress", "entity"}
    assert "1 of 2 codes decided" in first["parts"]["progress"]
    second = _decide(client, note_id, 1, kind="reject_entity", entity="1").json()
    assert set(second["parts"]) == {"codes", "progress", "entity", "note"}
    third = _decide(client, note_id, 2, kind="add_entity", start_char=0, end_char=4, type="TEST").json()
    assert 'data-entity="d3"' in third["parts"]["entity"]
    fourth = client.post(
        f"/review/notes/{note_id}/decisions",
        json={"version": 3, "decision": {"kind": "change_type", "entity": "2", "type": "TEST"}, "selected": "2"},
    ).json()
    assert "was Medication" in fourth["parts"]["entity"]


def test_who_comes_late_hears_who_was_first(client: httpx.Client, site: Site, note_id: str) -> None:
    _decide(client, note_id, 0, kind="accept_code", code="E11.9")
    site.who.name = "user:john"
    late = _decide(client, note_id, 0, kind="reject_code", code="E11.9")
    assert late.status_code == 409
    assert late.json()["error"]["code"] == "changed_meanwhile"
    assert (late.json()["by"], late.json()["version"]) == ("maria", 1)
    assert "maria has this note in hand" in client.get(f"/review/notes/{note_id}").text


BODIES: list[tuple[Any, int, str | None]] = [
    ([], 422, None),
    ({"version": 0}, 422, "decision.kind"),
    ({"version": "0", "decision": {"kind": "reopen"}}, 422, "version"),
    ({"version": True, "decision": {"kind": "reopen"}}, 422, "version"),
    ({"version": -1, "decision": {"kind": "reopen"}}, 422, "version"),
    ({"version": 0, "decision": {"kind": "reopen"}, "more": 1}, 422, "more"),
    ({"version": 0, "decision": {"kind": "reopen"}, "selected": 1}, 422, "selected"),
    ({"version": 0, "decision": {"kind": "reopen"}}, 409, None),
    ({"version": 0, "decision": {"kind": "finish"}}, 422, "decision.kind"),
    (
        {"version": 0, "decision": {"kind": "replace_code", "code": "E11.9", "new_code": "E11"}},
        422,
        "decision.new_code",
    ),
]


@pytest.mark.parametrize(("body", "status", "field"), BODIES)
def test_refusals_name_the_field(client: httpx.Client, note_id: str, body: Any, status: int, field: str | None) -> None:
    response = client.post(f"/review/notes/{note_id}/decisions", json=body)
    assert (response.status_code, response.json()["error"]["field"]) == (status, field)


def test_a_finished_note_offers_nothing_but_to_reopen(client: httpx.Client, note_id: str) -> None:
    for version, code in enumerate(("E11.9", "Z79.84")):
        _decide(client, note_id, version, kind="accept_code", code=code)
    parts = _decide(client, note_id, 2, kind="finish", comment="seen").json()["parts"]
    assert "seen" in parts["banner"]
    assert 'data-do="reopen"' in parts["banner"]
    for name in ("codes", "progress"):
        assert "data-do" not in parts[name]
    html = client.get(f"/review/notes/{note_id}").text
    assert "data-finished" in html


def test_next_note(client: httpx.Client, site: Site, note_id: str) -> None:
    other = site.add()
    response = client.get("/review/next", params={"after": note_id})
    assert (response.status_code, response.headers["location"]) == (303, f"/review/notes/{other}")
    for each, codes in ((note_id, ("E11.9", "Z79.84")), (other, ())):
        for version, code in enumerate(codes):
            _decide(client, each, version, kind="accept_code", code=code)
        _decide(client, each, len(codes), kind="finish")
    assert client.get("/review/next").headers["location"] == "/review"


def test_search_for_a_code(client: httpx.Client) -> None:
    found = client.get("/review/codes", params={"q": "distal radius fracture"}).json()["codes"]
    assert set(found[0]) == {"code", "title", "term", "billable"}
    assert any(each["code"].startswith("S52.5") for each in found)
    assert client.get("/review/codes", params={"q": "  "}).json() == {"codes": []}
    assert client.get("/review/codes", params={"q": "x" * 201}).status_code == 422


def test_worklist(client: httpx.Client, site: Site, note_id: str) -> None:
    site.add(urgent=True, department="ICU")
    site.add(state="dead", answer=None)
    html = client.get("/review").text
    assert html.index("ICU</td>") < html.index("Medicine</td>")
    assert ">Urgent<" in html
    assert 'href="/review/overview#set-aside"' in html
    filtered = client.get("/review", params={"above": "0.5", "below": "0.7", "stage": "open", "page": 1}).text
    assert filtered.count("<tr data-note") == 1
    assert "No such notes" in client.get("/review", params={"below": "0.1"}).text
    assert client.get("/review", params={"below": "much", "stage": "burnt", "page": -3}).status_code == 200


def test_who_oversees_nothing_sees_no_way_there(client: httpx.Client, site: Site) -> None:
    site.who.role = Role.CODER
    site.add(state="dead", answer=None)
    html = client.get("/review").text
    assert "/review/overview" not in html
    assert "set aside" in html


def test_overview(client: httpx.Client, site: Site, note_id: str) -> None:
    site.add(state="dead", answer=None, error="analysis_failed", attempts=8)
    for version, code in enumerate(("E11.9", "Z79.84")):
        _decide(client, note_id, version, kind="accept_code", code=code)
    _decide(client, note_id, 2, kind="accept_entity", entity="0")
    _decide(client, note_id, 3, kind="finish")
    html = client.get("/review/overview", params={"days": 7}).text
    assert html.count('<svg class="chart" role="img" aria-label=') == 3
    assert "Type 2 diabetes mellitus without complications" in html
    assert "analysis_failed" in html
    assert client.get("/review/overview", params={"days": 12345}).status_code == 200


def test_static_files_are_kept_where_their_digest_is_asked_for(client: httpx.Client) -> None:
    html = client.get("/review").text
    path = re.search(r'href="(/review/static/review\.css\?v=\w+)"', html)
    assert path
    assert "immutable" in client.get(path[1]).headers["cache-control"]
    assert client.get("/review/static/common.js").headers["cache-control"] == "no-cache"
    assert client.get("/review/static/../routes.py").status_code == 404


def test_a_large_note_is_a_light_page(client: httpx.Client, site: Site) -> None:
    """10,000 characters with 300 entities and 25 codes: 150 kB with styles and scripts, nothing packed."""
    words = ["acute on chronic kidney disease", "metoprolol 25 mg twice", "left lower lobe", "computed tomography"]
    text = " and ".join(words[i % 4] for i in range(400))[:10_000].ljust(10_000, ".")
    entities: list[dict[str, Any]] = []
    at = 0
    for i in range(300):
        start = text.find(" ", at) + 1
        entities.append(
            {
                "text": text[start : start + 18], "type": ("DIAGNOSIS", "MEDICATION", "ANATOMY", "TEST")[i % 4],
                "start_char": start, "end_char": start + 18, "confidence": 0.87, "is_negated": False,
                "icd_codes": [{"code": "N17.9", "description": "Acute kidney failure", "confidence": 0.8}],
                "certainty": ("affirmed", "negated")[i % 5 == 0], "temporality": "current", "experiencer": "patient",
            }
        )  # fmt: skip
        at = start + 22
    codes = [
        {"code": f"N{10 + i}.9", "description": "Hypertensive heart and chronic kidney disease with heart failure",
         "confidence": 0.8, "evidence": [i, i + 50, i + 100], "flags": ["unspecified"]}
        for i in range(25)
    ]  # fmt: skip
    note_id = site.add(text=text, answer={"entities": entities, "codes": codes})
    page = client.get(f"/review/notes/{note_id}").content
    assert page.count(b"data-m=") == 300
    weight = len(page) + sum(file.stat().st_size for file in STATIC.iterdir() if file.name != "worklist.js")
    assert weight < 150_000


def test_every_flag_of_the_guide_has_its_words(root: Path) -> None:
    guide = (root / "docs" / "coding.md").read_text(encoding="utf-8")
    table = guide[guide.index("| flag |") :].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(FLAGS)
