"""``/notes``: stored before it is acknowledged, polled, given another round, and read as sent where that is kept."""

import time
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from gateway_site import GatewaySite, body, code_of
from torchserve_stand_in import StandIn, says, slowly

from gateway.api.schemas import JobList, JobResponse
from gateway.security.permissions import Role

Opener = Callable[..., GatewaySite]
NOTES = "/api/v1/notes"
NOTE = "Mr. Harold Whitcombe, MRN 4482917, has pneumonia again."


def test_a_note_is_taken_in_and_polled_until_its_result_is_there(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.next.append(slowly(0.3))
    sent = body(NOTE, metadata={"department": "CAR"})
    response = gateway_site.client.post(NOTES, json=sent)
    assert response.status_code == 202
    assert response.headers["Location"] == f"{NOTES}/{sent['note_id']}"
    job = JobResponse.model_validate(response.json())
    assert (job.note_id, job.state, job.attempts, job.error, job.result) == (sent["note_id"], "queued", 0, None, None)
    gateway_site.until(lambda: gateway_site.torchserve.received)
    polled = gateway_site.client.get(response.headers["Location"])
    assert (polled.status_code, polled.json()["state"]) == (200, "running")
    gateway_site.wait(sent["note_id"])
    done = JobResponse.model_validate(gateway_site.client.get(response.headers["Location"]).json())
    assert (done.state, done.review_state) == ("done", "open")
    assert done.answered_at is not None
    assert done.answered_at >= done.received_at
    assert done.result is not None
    row = gateway_site.row(sent["note_id"])
    assert (row.source, row.department) == ("notes", "CAR")
    # The texts are those of the masked note: whoever may read results need not be who sent the note.
    assert all(row.text[e.start_char : e.end_char] == e.text for e in done.result.entities)
    assert "Whitcombe" not in done.model_dump_json()
    assert {redaction.category for redaction in done.result.redactions} >= {"NAME"}


def test_it_is_stored_before_it_is_acknowledged(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.stop()
    sent = body()
    assert gateway_site.client.post(NOTES, json=sent).status_code == 202
    assert gateway_site.row(sent["note_id"]).text == sent["note_text"]


def test_the_same_note_again_is_the_same_job(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    first = gateway_site.client.post(NOTES, json=sent)
    gateway_site.wait(sent["note_id"])
    again = gateway_site.client.post(NOTES, json={**sent, "note_id": sent["note_id"].upper()})
    assert (again.status_code, again.json()["state"]) == (202, "done")
    assert again.headers["Location"] == first.headers["Location"]
    time.sleep(0.1)
    assert len(gateway_site.torchserve.received) == 1


def test_the_same_id_with_another_text_is_refused(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    gateway_site.client.post(NOTES, json=sent)
    response = gateway_site.client.post(NOTES, json={**sent, "note_text": "Another."})
    assert (response.status_code, code_of(response), response.json()["error"]["field"]) == (
        *(409, "note_id_taken"),
        "note_id",
    )


def test_predict_and_notes_know_the_same_notes(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    gateway_site.client.post(NOTES, json=sent)
    gateway_site.wait(sent["note_id"])
    response = gateway_site.client.post("/api/v1/predict", json=sent)
    assert response.headers["Server-Timing"] == "stored"
    assert "Whitcombe" in [entity["text"] for entity in response.json()["entities"]]  # to who has sent it
    assert len(gateway_site.torchserve.received) == 1


@pytest.mark.parametrize("unknown", [str(uuid4()), "x", "%00", "..%2f..%2fetc%2fpasswd", "1" * 3000, "ü"])
def test_an_unknown_note_is_not_found(refusing_site: GatewaySite, unknown: str) -> None:
    admin = refusing_site.key(Role.ADMIN)
    for method, path in (("GET", unknown), ("GET", f"{unknown}/original"), ("POST", f"{unknown}/requeue")):
        response = refusing_site.client.request(method, f"{NOTES}/{path}", headers=admin)
        assert (response.status_code, code_of(response)) == (404, "not_found")


def test_a_note_that_was_given_up_is_listed_and_gets_another_round(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(job_attempts=2)
    torchserve.by_word["poison"] = says(500, "analysis_failed")
    notes = [body(f"Rat poison {number}.") for number in range(3)]
    for sent in notes:
        site.client.post(NOTES, json=sent)
        site.wait(sent["note_id"], "dead")
    supervisor = site.key(Role.SUPERVISOR)
    page = JobList.model_validate(site.client.get(NOTES, headers=supervisor).json())
    assert page.total == 3
    assert [job.note_id for job in page.notes] == [sent["note_id"] for sent in notes]  # oldest first
    assert {(job.state, job.attempts, job.error) for job in page.notes} == {("dead", 2, "analysis_failed")}
    part = site.client.get(NOTES, params={"limit": 1, "offset": 1}, headers=supervisor).json()
    assert [job["note_id"] for job in part["notes"]] == [notes[1]["note_id"]]
    assert site.client.get(NOTES, params={"state": "queued"}, headers=supervisor).json() == {"notes": [], "total": 0}

    del torchserve.by_word["poison"]
    address = f"{NOTES}/{notes[0]['note_id']}"
    response = site.client.post(f"{address}/requeue", headers=supervisor)
    assert (response.status_code, response.json()["attempts"], response.headers["Location"]) == (202, 0, address)
    assert site.wait(notes[0]["note_id"]).error is None
    assert site.audited(notes[0]["note_id"]) == ["note.accepted", "note.given_up", "note.requeued", "note.predicted"]
    again = site.client.post(f"{address}/requeue", headers=supervisor)
    assert (again.status_code, code_of(again)) == (409, "not_dead")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "lost"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x" * 300}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "9" * 40}, "offset"),
    ],
)
def test_a_list_that_cannot_be_had(refusing_site: GatewaySite, query: dict[str, str], field: str) -> None:
    response = refusing_site.client.get(NOTES, params=query, headers=refusing_site.key(Role.ADMIN))
    assert (response.status_code, response.json()["error"]["field"]) == (422, field)
    assert not any(value in response.text for value in query.values() if len(value) > 2)


def test_the_original_is_not_there_where_it_is_not_kept(gateway_site: GatewaySite) -> None:
    sent = body(NOTE)
    gateway_site.client.post("/api/v1/predict", json=sent)
    response = gateway_site.client.get(f"{NOTES}/{sent['note_id']}/original", headers=gateway_site.key(Role.ADMIN))
    assert (response.status_code, code_of(response)) == (404, "not_found")
    assert gateway_site.audited(sent["note_id"]) == ["note.accepted"]


@pytest.mark.parametrize("door", ["/api/v1/predict", NOTES])
def test_the_original_where_it_is_kept_is_read_on_the_record(open_site: Opener, door: str) -> None:
    site = open_site(store_original=True, note_key=Fernet.generate_key().decode())
    sent = body(NOTE)
    site.client.post(door, json=sent)
    response = site.client.get(f"{NOTES}/{sent['note_id']}/original", headers=site.key(Role.SUPERVISOR))
    assert response.json() == {"note_id": sent["note_id"], "note_text": NOTE}
    assert response.headers["Cache-Control"] == "no-store"
    assert site.audited(sent["note_id"]).count("note.original_read") == 1
    refused = site.client.get(f"{NOTES}/{sent['note_id']}/original")  # a service's key
    assert (refused.status_code, code_of(refused)) == (403, "forbidden")
    assert site.audited(sent["note_id"]).count("note.original_read") == 1


def test_times_have_a_zone(gateway_site: GatewaySite) -> None:
    sent = body()
    job = gateway_site.client.post(NOTES, json=sent).json()
    assert datetime.fromisoformat(job["received_at"]).tzinfo is not None
