"""What a client sees of the real TorchServe: answers, refusals, authorization, metrics, and silent logs."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import MODEL, Server, request

pytestmark = pytest.mark.integration

TYPES = {"DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"}
MAX_CHARS = 10_000


def faults(text: str, answer: dict[str, Any]) -> Iterator[str]:
    """Everything about an answer's entities that is not as the contract says."""
    entities = answer["entities"]
    spans = [(entity["start_char"], entity["end_char"]) for entity in entities]
    for entity, (start, end) in zip(entities, spans, strict=True):
        if not 0 <= start < end <= len(text) or text[start:end] != entity["text"]:
            yield f"[{start}, {end}) is not the entity's text"
        if entity["type"] not in TYPES or not 0 <= entity["confidence"] <= 1:
            yield f"[{start}, {end}) has type {entity['type']}, confidence {entity['confidence']}"
    if spans != sorted(spans):
        yield "the spans are not in the order of the text"
    for kind in TYPES:
        own = sorted(span for entity, span in zip(entities, spans, strict=True) if entity["type"] == kind)
        yield from (f"{kind} {a} and {b} overlap" for a, b in pairwise(own) if b[0] < a[1])


def read_note(path: Path) -> str:
    """A note as it stands in its file: line ends count."""
    return path.read_bytes().decode("utf-8")


@pytest.mark.corpus
def test_visit_notes_of_clinicians(server: Server, data_dir: Path) -> None:
    paths = sorted((data_dir / "aci_bench_notes").glob("*.txt"))
    texts = [read_note(path) for path in paths]
    assert max(map(len, texts)) <= MAX_CHARS
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: server.post(request(text)), texts))
    assert len(answers) == 207
    assert {path.name: answer.status_code for path, answer in zip(paths, answers, strict=True)} == {
        path.name: 200 for path in paths
    }
    found = {
        path.name: list(faults(text, answer.json())) for path, text, answer in zip(paths, texts, answers, strict=True)
    }
    assert {name: problems for name, problems in found.items() if problems} == {}
    assert sum(len(answer.json()["entities"]) for answer in answers) > 207


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Pt 😀👩‍⚕️ has acute myocardial infarction 🫀 and takes aspirin.", id="emoji"),
        pytest.param(
            "Cafe\u0301-au-lait spots; Sjo\u0308gren syndrome, acute myocardial infarction.", id="combining marks"
        ),
        pytest.param("Assessment:\r\nacute myocardial infarction\r\n\r\nPlan:\r\naspirin 81 mg\r\n", id="CRLF"),
        pytest.param("\tBP\t120/80\n\tacute\tmyocardial infarction\taspirin 81 mg", id="tabs"),
        pytest.param("Metoprolol\u00a025\u00a0mg for acute\u00a0myocardial\u202finfarction.", id="no-break spaces"),
        pytest.param("\ufeffTroponin\u200b elevated: acute myocardial infarction", id="zero width"),
        pytest.param("   \n\n acute myocardial infarction \n ", id="white space around"),
    ],
)
def test_offsets_count_code_points_of_the_note_as_sent(server: Server, text: str) -> None:
    answer = server.post(request(text))
    assert answer.status_code == 200
    assert answer.json()["entities"]
    assert list(faults(text, answer.json())) == []


def test_answer_has_the_fields_of_the_contract_in_its_order(server: Server) -> None:
    sent = request("Denies chest pain. Given aspirin 81 mg for acute myocardial infarction.")
    answer = server.post(sent)
    assert answer.headers["content-type"].startswith("application/json")
    assert list(answer.json()) == [
        "note_id", "entities", "processing_time_ms", "model_version", "codes", "references", "redactions", "warnings"
    ]  # fmt: skip
    assert answer.json()["note_id"] == sent["note_id"]
    assert answer.json()["model_version"].startswith(f"{MODEL}-")


SECRET = "Zweihundert Aerzte husten im Nebel"

BAD_REQUESTS: dict[str, tuple[bytes | dict[str, Any], int, str | None]] = {
    "no JSON": (f'{{"note_text": "{SECRET}"'.encode(), 400, None),
    "no body at all": (b"", 400, None),
    "not UTF-8": (b'{"note_text": "\xff"}', 400, None),
    "NaN": (b'{"note_text": NaN}', 400, None),
    "field twice": (f'{{"note_text": "{SECRET}", "note_text": "b"}}'.encode(), 400, None),
    "a list": (json.dumps([SECRET]).encode(), 400, None),
    "a string": (json.dumps(SECRET).encode(), 400, None),
    "null": (b"null", 400, None),
    "text is a number": (request(12), 422, "note_text"),
    "text is a list": (request([SECRET]), 422, "note_text"),
    "no text": ({k: v for k, v in request().items() if k != "note_text"}, 422, "note_text"),
    "empty text": (request(""), 422, "note_text"),
    "white space alone": (request(" \n\t"), 422, "note_text"),
    "10,001 characters": (request((SECRET * 300)[: MAX_CHARS + 1]), 422, "note_text"),
    "NUL": (request(f"{SECRET}\x00"), 422, "note_text"),
    "lone surrogate": (request(f"{SECRET}\ud83d"), 422, "note_text"),
    "bad UUID": (request(SECRET, note_id="12345"), 422, "note_id"),
    "UUID is a number": (request(SECRET, note_id=7), 422, "note_id"),
    "no note_type": ({k: v for k, v in request(SECRET).items() if k != "note_type"}, 422, "note_type"),
    "unknown note_type": (request(SECRET, note_type="poem"), 422, "note_type"),
    "unknown priority": (request(SECRET, priority="whenever"), 422, "priority"),
    "unknown field": (request(SECRET, patient_name="x"), 422, "patient_name"),
    "unknown metadata": (request(SECRET, metadata={"ward": "3b"}), 422, "metadata.ward"),
    "metadata is a string": (request(SECRET, metadata=SECRET), 422, "metadata"),
    "7 MB": (request(SECRET * (7_000_000 // len(SECRET))), 413, None),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_request(server: Server, name: str) -> None:
    body, status, field = BAD_REQUESTS[name]
    server.posted.append(SECRET)
    answer = server.post(body)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json")
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "field"}
    assert error["code"]
    assert error["message"]
    assert error["field"] == field
    assert leaks([answer.text], [SECRET]) == []
    assert server.post(request()).status_code == 200


def test_longest_allowed_text(server: Server) -> None:
    text = ("Denies chest pain. " * 600)[:MAX_CHARS]
    answer = server.post(request(text))
    assert answer.status_code == 200
    assert list(faults(text, answer.json())) == []


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_other_content_types_are_refused(server: Server, content_type: str) -> None:
    answer = server.post(request(SECRET), content_type)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "missing_body"


def test_one_bad_request_of_eight_leaves_the_others_alone(server: Server) -> None:
    texts = [f"Patient {index} denies chest pain and takes aspirin." for index in range(8)]
    bodies = [request(text) for text in texts]
    bodies[3]["note_type"] = "poem"
    with ThreadPoolExecutor(8) as pool:
        # Twice, so that the second round meets a busy worker and is batched.
        for _ in range(2):
            answers = list(pool.map(server.post, bodies))
            assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 200, 200, 200, 200]
            assert answers[3].json()["error"]["field"] == "note_type"
            for body, answer in zip(bodies, answers, strict=True):
                if answer.status_code == 200:
                    assert answer.json()["note_id"] == body["note_id"]
                    assert list(faults(body["note_text"], answer.json())) == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}], ids=["no key", "wrong key"])
@pytest.mark.parametrize("address", ["inference", "management"])
def test_key_is_needed(server: Server, address: str, headers: dict[str, str]) -> None:
    url = server.url if address == "inference" else f"{server.management}/models"
    answer = httpx.request("POST" if address == "inference" else "GET", url, headers=headers, timeout=30)
    assert answer.status_code in (400, 401, 403)
    assert "entities" not in answer.text
    assert MODEL not in answer.text


def test_inference_key_does_not_manage(server: Server) -> None:
    url = f"{server.management}/models"
    assert httpx.get(url, headers=server.headers("inference")).status_code in (400, 401, 403)
    assert httpx.get(url, headers=server.headers("management")).status_code == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/foreign.mar", "https://example.org/foreign.mar", "file:///etc/a.mar"]
)
def test_model_from_a_foreign_url_is_refused(server: Server, url: str) -> None:
    headers = server.headers("management")
    answer = httpx.post(f"{server.management}/models", params={"url": url}, headers=headers, timeout=30)
    assert 400 <= answer.status_code < 500
    assert "does not match any allowed URL" in answer.text
    assert [
        model["modelName"] for model in httpx.get(f"{server.management}/models", headers=headers).json()["models"]
    ] == [MODEL]


def test_changes_of_models_are_off_by_default(root: Path) -> None:
    lines = (root / "config" / "config.properties").read_text(encoding="utf-8").splitlines()
    assert "enable_model_api=false" in lines
    assert "disable_token_authorization=false" in lines


def metric(server: Server, name: str, label: str = "") -> float:
    """Sum over the samples of a metric whose labels hold ``label``."""
    text = httpx.get(f"{server.metrics}/metrics", headers=server.headers("inference"), timeout=30).text
    samples = re.findall(rf"^{re.escape(name)}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for labels, value in samples if label in labels)


def test_metrics_move(server: Server) -> None:
    names = {
        "clincode_note_entities_count": "",
        "clincode_note_entities_sum": "",
        "clincode_note_token_entropy_count": "",
        "clincode_note_outside_share_count": "",
        "clincode_note_confidence_count": "",
        "clincode_stage_seconds_count": 'Stage="model"',
        "clincode_errors_total": 'Code="literal_error"',
    }
    before = {name: metric(server, name, label) for name, label in names.items()}
    answers = [server.post(request("Acute myocardial infarction, given aspirin.")) for _ in range(3)]
    assert server.post(request(note_type="poem")).status_code == 422
    entities = sum(len(answer.json()["entities"]) for answer in answers)
    assert entities > 0
    expected = {
        "clincode_note_entities_count": 3,
        "clincode_note_entities_sum": entities,
        "clincode_note_token_entropy_count": 3,
        "clincode_note_outside_share_count": 3,
        "clincode_note_confidence_count": 3,
        "clincode_stage_seconds_count": 3,
        "clincode_errors_total": 1,
    }
    # TorchServe reads the worker's numbers beside the answers, so they may come a moment later.
    deadline = time.monotonic() + 10
    moved: dict[str, float] = {}
    while moved != expected and time.monotonic() < deadline:
        time.sleep(0.1)
        moved = {name: metric(server, name, label) - before[name] for name, label in names.items()}
    assert moved == expected


PIECE = 12


def pieces(text: str) -> set[str]:
    """All pieces of 12 characters that hold a letter or a digit: a row of dashes or blanks gives nothing away."""
    windows = (text[start : start + PIECE] for start in range(len(text) - PIECE + 1))
    return {window for window in windows if any(character.isalnum() for character in window)}


def leaks(lines: Iterable[str], notes: Iterable[str]) -> list[str]:
    known = set().union(*(pieces(note) for note in notes))
    return [line for line in lines if not known.isdisjoint(pieces(line))]


def test_detector_of_leaks() -> None:
    assert leaks(["ERROR: not found: 'chest pain radiating'"], ["He has chest pain radiating to the left arm."])
    assert not leaks(["ERROR: not found", "------------ ok"], ["He has chest pain. ------------ "])


def test_no_log_holds_a_piece_of_a_note(server: Server) -> None:
    """The last test of this file: it reads what all the others have left in the logs."""
    lines = server.log_lines()
    assert len(server.posted) > 30
    assert any("predictions" in line for line in lines)
    assert any("is ready on" in line for line in lines)
    assert leaks(lines, server.posted) == []
