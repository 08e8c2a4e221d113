"""``/predict`` and ``/predict/batch``: the same note once, in its turn, in time, and nothing of it in a log."""

import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
import yaml
from gateway_site import GatewaySite, body, code_of
from sqlalchemy import text
from torchserve_stand_in import BUSY, StandIn, breaks_off, running_stand_in, says, slowly, worker_died

from gateway.api.schemas import BatchResponse, PredictResponse
from gateway.log import configure_logging
from gateway.serving import routing

Opener = Callable[..., GatewaySite]
PREDICT, BATCH = "/api/v1/predict", "/api/v1/predict/batch"
NOTE = "Mr. Harold Whitcombe, MRN 4482917, has Sjögren's pneumonia 𝔸gain."


def test_an_answer_is_the_contracts_and_fits_the_note_as_sent(gateway_site: GatewaySite) -> None:
    sent = body(NOTE, metadata={"encounter_id": "V4711", "department": "CAR", "provider_id": "88"})
    response = gateway_site.client.post(PREDICT, json=sent)
    assert response.status_code == 200
    answer = PredictResponse.model_validate(response.json(), strict=True)
    assert answer.note_id == sent["note_id"]
    assert len(answer.entities) > 3
    assert all(NOTE[e.start_char : e.end_char] == e.text for e in answer.entities)
    assert "Whitcombe" in [e.text for e in answer.entities]
    assert re.fullmatch(r"wait;dur=[\d.]+, model;dur=[\d.]+", response.headers["Server-Timing"])
    row = gateway_site.row(sent["note_id"])
    assert (row.encounter_id, row.department, row.provider_id) == ("V4711", "CAR", "88")
    assert (row.state, row.source, row.route, row.model_version) == (
        *("done", "predict", "production"),
        gateway_site.torchserve.version,
    )
    assert row.received_by.startswith("key:test-service")


def test_what_is_stored_is_masked(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    gateway_site.client.post(PREDICT, json=sent)
    row = gateway_site.row(sent["note_id"])
    assert len(row.text) == len(NOTE)
    assert row.answer is not None
    assert all(row.text[e["start_char"] : e["end_char"]] == e["text"] for e in row.answer["entities"])
    with gateway_site.services.database.reading() as session:
        for table in ("notes", "audit"):
            stored = str(session.execute(text(f"SELECT * FROM {table}")).all())
            assert not any(name in stored for name in ("Harold", "Whitcombe", "4482917"))


def test_the_same_note_again_is_answered_from_what_is_kept(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    first = gateway_site.client.post(PREDICT, json=sent).json()
    for spelling in (str.upper, lambda i: f"{{{i}}}", lambda i: i.replace("-", "")):
        spelt = {**sent, "note_id": spelling(sent["note_id"])}
        again = gateway_site.client.post(PREDICT, json=spelt)
        assert again.headers["Server-Timing"] == "stored"
        assert again.json() == {**first, "note_id": spelt["note_id"]}
    assert len(gateway_site.torchserve.received) == 1


def test_the_same_id_with_another_text_is_refused(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    gateway_site.client.post(PREDICT, json=sent)
    response = gateway_site.client.post(PREDICT, json={**sent, "note_text": NOTE + " "})
    assert (response.status_code, code_of(response)) == (409, "note_id_taken")
    assert response.json()["error"]["field"] == "note_id"
    assert len(gateway_site.torchserve.received) == 1


def test_one_note_sent_by_many_at_once_gets_one_answer(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: gateway_site.client.post(PREDICT, json=sent), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert gateway_site.services.notes.counts()["done"] == 1


def test_a_note_that_failed_is_not_kept_and_may_come_again(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    for behaviour, status, code in (
        (says(500, "analysis_failed"), 500, "analysis_failed"),
        (says(422, "string_too_long", "note_text"), 422, "string_too_long"),
        (BUSY, 503, "model_unavailable"),
        (breaks_off, 503, "model_unavailable"),
        (worker_died, 503, "model_unavailable"),
    ):
        gateway_site.torchserve.next.append(behaviour)
        response = gateway_site.client.post(PREDICT, json=sent)
        assert (response.status_code, code_of(response)) == (status, code)
        assert ("Retry-After" in response.headers) == (status == 503)
    assert gateway_site.services.notes.counts()["done"] == 0
    assert gateway_site.client.post(PREDICT, json=sent).status_code == 200


JSON = "application/json"


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code", "field"),
    [
        (b"{}", "text/plain", 415, "unsupported_media_type", "Content-Type"),
        (b"{}", "application/x-www-form-urlencoded", 415, "unsupported_media_type", "Content-Type"),
        (b"{}", "", 415, "unsupported_media_type", "Content-Type"),
        (b"", JSON, 400, "invalid_json", None),
        (b"{", JSON, 400, "invalid_json", None),
        (b"\xff\xfe{\x00}\x00", JSON, 400, "invalid_json", None),
        (b'{"a": NaN}', JSON, 400, "invalid_json", None),
        (b"[" * 100_000, JSON, 400, "invalid_json", None),
        (b'{"a": 1' + b"0" * 5000 + b"}", JSON, 400, "invalid_json", None),
        (b"[]", JSON, 400, "not_an_object", None),
        (b"null", JSON, 400, "not_an_object", None),
        (b'{"note_id": 1, "note_id": 2}', JSON, 400, "duplicate_field", None),
        (b"{}", JSON, 422, "missing", "note_id"),
        (b" " * ((1 << 20) + 1), JSON, 413, "body_too_large", None),
    ],
)
def test_bodies_that_do_not_fit(
    refusing_site: GatewaySite, content: bytes, media_type: str, status: int, code: str, field: str | None
) -> None:
    response = refusing_site.client.post(PREDICT, content=content, headers={"Content-Type": media_type})
    assert (response.status_code, code_of(response), response.json()["error"]["field"]) == (status, code, field)
    assert refusing_site.torchserve.received == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"note_id": "x"}, "bad_uuid", "note_id"),
        ({"note_text": ""}, "string_too_short", "note_text"),
        ({"note_text": " \n"}, "blank_text", "note_text"),
        ({"note_text": "x" * 10_001}, "string_too_long", "note_text"),
        ({"note_text": "a\x00b"}, "nul_character", "note_text"),
        ({"note_text": "a\ud800b"}, "string_unicode", "note_text"),
        ({"note_text": 7}, "string_type", "note_text"),
        ({"note_type": "poem"}, "literal_error", "note_type"),
        ({"priority": "soon"}, "literal_error", "priority"),
        ({"metadata": {"encounter_id": "x" * 257}}, "string_too_long", "metadata.encounter_id"),
        ({"metadata": {"encounter_id": "a\x00"}}, "nul_character", "metadata.encounter_id"),
        ({"metadata": {"mrn": "1"}}, "unknown_field", "metadata.mrn"),
        ({"webhook_url": "http://x"}, "unknown_field", "webhook_url"),
    ],
)
def test_fields_that_do_not_fit(refusing_site: GatewaySite, changes: dict[str, Any], code: str, field: str) -> None:
    response = refusing_site.client.post(PREDICT, content=json.dumps(body(**changes)), headers={"Content-Type": JSON})
    assert (response.status_code, code_of(response), response.json()["error"]["field"]) == (422, code, field)
    assert refusing_site.torchserve.received == []


# --- batches


def batch(site: GatewaySite, notes: list[Any], **more: Any) -> Any:
    return site.client.post(BATCH, content=json.dumps({"notes": notes, **more}), headers={"Content-Type": JSON})


def test_a_batch_is_answered_in_order_each_fault_in_its_place(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.by_word["poison"] = says(500, "analysis_failed")
    gateway_site.torchserve.by_word["slow"] = slowly(0.2)
    known = body("Known already.")
    gateway_site.client.post(PREDICT, json=known)
    notes = [
        body("A slow note."),
        body(""),
        "no object",
        body("Rat poison."),
        {**known, "note_text": "Another text."},
        {"note_id": "\ud800", "note_text": "x"},
        {"note_text": "No id."},
        {"note_id": ["a list"]},
        known,
        body("The last."),
    ]
    response = batch(gateway_site, notes)
    assert response.status_code == 200, response.text
    found = BatchResponse.model_validate(response.json())
    codes = [getattr(result, "error", None) and result.error.code for result in found.results]  # type: ignore[union-attr]
    assert codes == [
        *(None, "string_too_short", "not_an_object", "analysis_failed", "note_id_taken"),
        *("string_unicode", "missing", "string_type", None, None),
    ]
    assert found.notes_processed == 3
    ids = [result.note_id for result in found.results]
    assert ids[:5] == [notes[0]["note_id"], notes[1]["note_id"], None, notes[3]["note_id"], known["note_id"]]
    assert ids[5:8] == [None, None, None]
    assert ids[8:] == [known["note_id"], notes[9]["note_id"]]
    assert found.total_processing_time_ms >= 200


def test_a_note_that_breaks_the_gateway_breaks_its_own_place_alone(
    gateway_site: GatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = gateway_site.services.notes.keep_answer

    def fails(note: Any, *rest: Any) -> Any:
        if "poison" in note.text:
            raise KeyError(note.text)
        return keep(note, *rest)

    monkeypatch.setattr(gateway_site.services.notes, "keep_answer", fails)
    notes = [body("First."), body("Rat poison."), body("Last.")]
    results = batch(gateway_site, notes).json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == [None, "internal_error", None]
    assert results[1]["note_id"] == notes[1]["note_id"]


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        ({}, "missing", "notes"),
        ({"notes": {}}, "list_type", "notes"),
        ({"notes": []}, "batch_size", "notes"),
        ({"notes": [1] * 5}, "batch_size", "notes"),
        ({"notes": [1] * 3, "max_batch_size": 2}, "batch_size", "notes"),
        ({"notes": [1], "max_batch_size": 5}, "out_of_range", "max_batch_size"),
        ({"notes": [1], "max_batch_size": 0}, "out_of_range", "max_batch_size"),
        ({"notes": [1], "max_batch_size": True}, "out_of_range", "max_batch_size"),
        ({"notes": [1], "max_batch_size": "2"}, "out_of_range", "max_batch_size"),
        ({"notes": [1], "max_batch_size": None}, "out_of_range", "max_batch_size"),
        ({"notes": [1], "size": 2}, "unknown_field", "size"),
    ],
)
def test_batches_that_do_not_fit(refusing_site: GatewaySite, content: dict[str, Any], code: str, field: str) -> None:
    response = refusing_site.client.post(BATCH, json=content)
    assert (response.status_code, code_of(response), response.json()["error"]["field"]) == (422, code, field)


def test_a_batch_of_the_longest_notes_fits(open_site: Opener) -> None:
    site = open_site(batch_limit=32)
    notes = [body("𝔸" * 9_990 + f" {number:05}") for number in range(32)]
    response = batch(site, notes, max_batch_size=32)  # escaped: 12 bytes a character
    assert response.json()["notes_processed"] == 32


# --- time and order


def test_a_deadline_that_passes_is_a_504_of_the_clients_own_time(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.next.append(slowly(1.0))
    start = time.monotonic()
    response = gateway_site.client.post(PREDICT, json=body(), headers={"X-Deadline-Ms": "150"})
    assert (response.status_code, code_of(response)) == (504, "deadline_exceeded")
    assert 0.1 < time.monotonic() - start < 0.7
    assert response.headers["Retry-After"]


def test_no_client_gets_more_time_than_the_deployment_gives(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(deadline_seconds=0.15)
    torchserve.next.append(slowly(1.0))
    start = time.monotonic()
    response = site.client.post(PREDICT, json=body(), headers={"X-Deadline-Ms": "600000"})
    assert response.status_code == 504
    assert time.monotonic() - start < 0.7


@pytest.mark.parametrize("value", ["0", "-1", "600001", "soon", "1e3", "", "٣"])
def test_a_deadline_is_a_number_of_milliseconds(refusing_site: GatewaySite, value: str) -> None:
    headers = {b"X-Deadline-Ms": value.encode()}
    response = refusing_site.client.post(PREDICT, json=body(), headers=headers)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["error"]["field"]) == (422, "X-Deadline-Ms")


def test_a_full_queue_is_a_503_that_says_when_to_come_again(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(slots=1, urgent_slots=0, queue_size=1)
    torchserve.by_word["slow"] = slowly(0.6)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(site.client.post, PREDICT, json=body(f"A slow note {n}.")) for n in range(4)]
        responses = [future.result() for future in futures]
    assert sorted(response.status_code for response in responses) == [200, 200, 503, 503]
    for refused in (response for response in responses if response.status_code == 503):
        assert code_of(refused) == "queue_full"
        assert int(refused.headers["Retry-After"]) >= 1


def test_an_urgent_note_overtakes_those_that_wait(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(slots=1, urgent_slots=0)
    torchserve.next.append(slowly(0.4))
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(site.client.post, PREDICT, json=body("The first note."))]
        site.until(lambda: torchserve.received)
        for number in range(3):
            futures.append(pool.submit(site.client.post, PREDICT, json=body(f"Normal {number}.")))
        time.sleep(0.15)
        futures.append(pool.submit(site.client.post, PREDICT, json=body("An urgent note.", priority="urgent")))
        assert {future.result().status_code for future in futures} == {200}
    assert torchserve.texts()[:2] == ["The first note.", "An urgent note."]


# --- routing


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[StandIn]:
    with running_stand_in(tmp_path, version="bert-clinical-ner-v10.0.0") as stand_in:
        yield stand_in


def routing_file(folder: Path, torchserve: StandIn, canary: StandIn, share: float) -> Path:
    path = folder / "routing.yaml"
    targets = {
        name: {"url": each.url, "key_file": str(each.key_file)}
        for name, each in {"stable": torchserve, "next": canary}.items()
    }
    content = {"production": "stable", "targets": targets, "canary": {"target": "next", "share": share}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    stamp = time.time_ns()
    os.utime(path, ns=(stamp, stamp))
    return path


def test_a_canary_answers_its_share_and_the_row_says_so(
    open_site: Opener, tmp_path: Path, torchserve: StandIn, canary: StandIn
) -> None:
    site = open_site(routing_file=routing_file(tmp_path, torchserve, canary, 0.5))
    notes = [body(f"Pneumonia {number}.") for number in range(24)]
    for sent in notes:
        answer = site.client.post(PREDICT, json=sent).json()
        row = site.row(sent["note_id"])
        assert (row.route, row.model_version) in {
            ("stable", torchserve.version),
            ("next", canary.version),
        }
        assert answer["model_version"] == row.model_version
    assert len(torchserve.received) + len(canary.received) == 24
    assert min(len(torchserve.received), len(canary.received)) >= 4


@pytest.mark.parametrize("fault", [None, BUSY, breaks_off])
def test_where_the_canary_is_away_production_answers(
    open_site: Opener, tmp_path: Path, torchserve: StandIn, canary: StandIn, fault: Any
) -> None:
    site = open_site(routing_file=routing_file(tmp_path, torchserve, canary, 1.0))
    if fault is None:
        canary.stop()
    else:
        canary.next.append(fault)
    sent = body()
    response = site.client.post(PREDICT, json=sent, headers={"X-Request-ID": "fallback-1"})
    assert (response.status_code, response.json()["model_version"]) == (200, torchserve.version)
    assert site.row(sent["note_id"]).route == "stable"
    assert torchserve.received[0].headers["x-request-id"] == "fallback-1"


def test_what_the_canary_says_of_a_note_stands(
    open_site: Opener, tmp_path: Path, torchserve: StandIn, canary: StandIn
) -> None:
    site = open_site(routing_file=routing_file(tmp_path, torchserve, canary, 1.0))
    canary.next.append(says(500, "analysis_failed"))
    assert site.client.post(PREDICT, json=body()).status_code == 500
    assert torchserve.received == []


def test_the_routing_is_read_again_while_serving(
    open_site: Opener, tmp_path: Path, torchserve: StandIn, canary: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_CHECK_SECONDS", 0.0)
    site = open_site(routing_file=routing_file(tmp_path, torchserve, canary, 0.0))

    def version() -> str:
        return str(site.client.post(PREDICT, json=body()).json()["model_version"])

    def checks() -> Any:
        return site.client.get("/health/ready").json()["checks"]["routing"]

    assert version() == torchserve.version
    path = routing_file(tmp_path, torchserve, canary, 1.0)
    assert (version(), checks()) == (canary.version, True)
    path.write_text("production: nothing\ntargets: {}\n", encoding="utf-8")
    assert (version(), checks()) == (canary.version, False)
    routing_file(tmp_path, torchserve, canary, 0.0)
    assert (version(), checks()) == (torchserve.version, True)


# --- request ids and logs


REQUEST_IDS = [
    ("ehr-7.A_b", True),
    ("x" * 64, True),
    ("x" * 65, False),
    ("a b", False),
    ("a/b", False),
    ("", False),
    ("ü", False),
]


def test_request_ids(gateway_site: GatewaySite) -> None:
    for sent, is_kept in REQUEST_IDS:
        headers = {b"X-Request-ID": sent.encode()}
        response = gateway_site.client.post(PREDICT, json=body(), headers=headers)  # type: ignore[arg-type]
        answered = response.headers["X-Request-ID"]
        assert (answered == sent) == is_kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answered)
        assert gateway_site.torchserve.received[-1].headers["x-request-id"] == answered


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that structlog and the standard library's loggers write, at debug level."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("debug")
    structlog.configure(cache_logger_on_first_use=False)
    for client in ("httpx", "httpx2"):  # the tests' own, which logs what it asks for
        monkeypatch.setattr(logging.getLogger(client), "disabled", True)
    everything = logging.StreamHandler(stream)
    root.addHandler(everything)
    yield stream
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def pieces(words: str) -> set[str]:
    """Every two words in a row, and every word that English has not."""
    split = re.findall(r"\w+", words)
    return {f"{a} {b}" for a, b in pairwise(split)} | {w for w in split if w.startswith("Zyx")}


def test_nothing_of_a_note_is_ever_logged(
    open_site: Opener, torchserve: StandIn, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = open_site(store_original=True, note_key="QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", log_level="debug")
    text = "Zyxwort carcinoma of Mr. Zyxander Quill, MRN 4482917; Zyxopril 25mg given to the {} one."
    torchserve.by_word |= {
        "fifth": says(500, "analysis_failed"),
        "sixth": breaks_off,
        "seventh": worker_died,
        "eighth": says(422, "blank_text", "note_text"),
    }
    keep = site.services.notes.keep_answer

    def crash(note: Any, *rest: Any) -> Any:
        if "ninth" in note.text:
            raise ValueError(note.text)
        return keep(note, *rest)

    monkeypatch.setattr(site.services.notes, "keep_answer", crash)
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    notes = [body(text.format(name)) for name in names]
    post = site.client.post
    statuses = [post(PREDICT, json=note).status_code for note in notes]
    assert statuses == [200, 200, 200, 200, 500, 503, 503, 422, 500]
    post(PREDICT, json={**notes[0], "note_text": text.format("other")})
    post(PREDICT, json={**notes[0], "note_type": text})
    post(PREDICT, json={**notes[0], text: 1})
    post(PREDICT, content=text, headers={"Content-Type": JSON})
    post(BATCH, json={"notes": [*notes, text, {"note_id": text}]})
    post("/api/v1/notes", json=body(text.format("durable")))
    post("/api/v1/notes", json={**body(text.format("durable")), "webhook_url": text})
    post("/api/v1/hl7/v2", content=f"MSH|{text}", headers={"Content-Type": "text/plain"})
    post("/api/v1/fhir/DocumentReference", json={"resourceType": text, "status": text})
    site.client.get(f"/api/v1/notes/{text}")
    site.client.get("/api/v1/codes", params={"q": text})
    site.client.get(f"/{text}", params={text: text}, headers={"X-Request-ID": text, "Cookie": f"a={text}"})
    site.client.request(text.split(maxsplit=1)[0], "/api/v1/predict")
    monkeypatch.setattr(site.services.notes, "claim", lambda *_: 1 / 0)
    poisoned = body(text.format("fifth"), note_id=str(uuid4()))
    post("/api/v1/notes", json=poisoned)
    time.sleep(0.1)
    said = logged.getvalue()
    events = [json.loads(line) for line in said.splitlines() if line.startswith('{"')]
    assert {"request", "request_failed", "request_crashed", "note_of_batch_failed", "claim_failed"} <= {
        event["event"] for event in events
    }
    for piece in pieces(text) | {"4482917", "Zyx", "Whitcombe"}:
        assert piece not in said, piece
    requests = [event for event in events if event["event"] == "request"]
    assert {event["route"] for event in requests} >= {PREDICT, BATCH, "/api/v1/notes", "/api/v1/notes/{note_id}"}
    assert {event["route"] for event in requests} >= {"unmatched"}
    assert all(event["request_id"] and event["milliseconds"] >= 0 for event in requests)
    metrics = site.client.get("/metrics").text
    assert 'route="/api/v1/notes/{note_id}"' in metrics
    assert not any(piece in metrics for piece in ("Zyx", "carcinoma", "4482917"))


def test_a_slow_disk_does_not_hold_a_client_beyond_its_time(
    gateway_site: GatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the answer is kept all the same: the next try finds it."""
    store, sent = gateway_site.services.notes, body(NOTE)
    keep = store.keep_answer

    def slow_keep(*arguments: Any) -> Any:
        time.sleep(1.5)
        return keep(*arguments)

    monkeypatch.setattr(type(store), "keep_answer", lambda _self, *arguments: slow_keep(*arguments))
    start = time.monotonic()
    response = gateway_site.client.post(PREDICT, json=sent, headers={"X-Deadline-Ms": "700"})
    assert (response.status_code, code_of(response)) == (504, "deadline_exceeded")
    assert time.monotonic() - start < 1.4
    time.sleep(1.5)
    again = gateway_site.client.post(PREDICT, json=sent)
    assert (again.status_code, again.headers["Server-Timing"]) == (200, "stored")
