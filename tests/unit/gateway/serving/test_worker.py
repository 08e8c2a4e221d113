"""What becomes of notes that were accepted for later, whatever TorchServe does meanwhile."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from gateway_site import GatewaySite, open_gateway
from sqlalchemy import update
from torchserve_stand_in import BUSY, STARTING, StandIn, breaks_off, says, slowly, worker_died

from clincode.types import Note
from gateway.codes import CodePicker
from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.storage.notes import Intake
from gateway.storage.tables import NoteRow

EHR = Principal("key:ehr", Role.SERVICE, PERMISSIONS[Role.SERVICE])
Opener = Callable[..., GatewaySite]


def accept(site: GatewaySite, text: str = "Patient has pneumonia today.", priority: str = "normal") -> str:
    """The id of a note that waits now; the worker finds it by looking."""
    note = Note(str(uuid4()), text, priority=priority)
    site.services.notes.accept(note, Intake("notes", EHR))
    return note.note_id


def change(site: GatewaySite, note_id: str, **values: Any) -> None:
    with site.services.database.transaction() as session:
        session.execute(update(NoteRow).where(NoteRow.id == note_id).values(**values))


def test_a_note_is_done_and_audited_once_with_the_masked_text_sent(gateway_site: GatewaySite) -> None:
    note_id = accept(gateway_site, "Mr. Harold Whitcombe has pneumonia.")
    row = gateway_site.wait(note_id)
    assert (row.attempts, row.error, row.route, row.lease) == (0, None, "production", None)
    assert row.answer is not None
    assert "pneumonia" in [entity["text"] for entity in row.answer["entities"]]
    (received,) = gateway_site.torchserve.received
    assert "Whitcombe" not in received.note["note_text"]
    assert received.headers["x-request-id"].startswith("job-")
    assert gateway_site.audited(note_id) == ["note.accepted", "note.predicted"]


def test_while_the_model_is_away_a_note_waits_and_loses_no_try(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.stop()
    note_id = accept(gateway_site)
    gateway_site.until(lambda: gateway_site.row(note_id).error == "model_unavailable")
    time.sleep(0.3)  # several rounds
    row = gateway_site.row(note_id)
    assert (row.state in {"queued", "running"}, row.attempts) == (True, 0)
    gateway_site.torchserve.start()
    assert gateway_site.wait(note_id).attempts == 0


@pytest.mark.parametrize("refusal", [BUSY, STARTING])
def test_a_full_or_starting_torchserve_costs_no_try(open_site: Opener, torchserve: StandIn, refusal: Any) -> None:
    torchserve.next.extend([refusal] * 3)
    site = open_site(job_attempts=2)
    assert site.wait(accept(site)).attempts == 0
    assert len(torchserve.received) == 4


def test_the_pause_grows_while_the_model_is_away(
    open_site: Opener, torchserve: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.serving.worker._LONGEST_PAUSE", 0.4)
    torchserve.by_word["pneumonia"] = BUSY
    site = open_site(slots=1)
    accept(site)
    time.sleep(1.2)
    # 0.02, 0.04, … 0.4, 0.4 s: about seven rounds; without growth it would be some thirty.
    assert 3 <= len(torchserve.received) <= 12


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (says(500, "analysis_failed"), "analysis_failed"),
        (worker_died, "model_unavailable"),
        (breaks_off, "model_unavailable"),
    ],
)
def test_a_note_that_fails_is_tried_so_often_and_then_set_aside(
    open_site: Opener, torchserve: StandIn, behaviour: Any, code: str
) -> None:
    torchserve.by_word["poison"] = behaviour
    site = open_site(job_attempts=3)
    note_id = accept(site, "Rat poison swallowed.")
    row = site.wait(note_id, "dead")
    assert (row.attempts, row.error, row.answer) == (3, code, None)
    assert len(torchserve.received) == 3
    assert site.audited(note_id) == ["note.accepted", "note.given_up"]


def test_a_try_that_fails_is_followed_by_one_that_need_not(open_site: Opener, torchserve: StandIn) -> None:
    torchserve.next.extend([says(500, "analysis_failed"), breaks_off])
    site = open_site(job_attempts=3)
    row = site.wait(accept(site))
    assert (row.attempts, row.error) == (2, None)


def test_a_refused_note_is_dead_at_once(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.by_word["poison"] = says(422, "string_too_long", "note_text")
    row = gateway_site.wait(accept(gateway_site, "Rat poison."), "dead")
    assert (row.attempts, row.error, len(gateway_site.torchserve.received)) == (1, "string_too_long", 1)


def test_waiting_for_a_model_that_is_away_has_an_end(open_site: Opener, torchserve: StandIn) -> None:
    torchserve.stop()
    site = open_site(job_hours=1)
    young, old, requeued = accept(site), accept(site), accept(site)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    change(site, requeued, received_at=long_ago, requeued_at=datetime.now(UTC))
    change(site, old, received_at=long_ago)
    assert site.wait(old, "dead").error == "model_unavailable"
    time.sleep(0.1)
    assert "dead" not in {site.row(young).state, site.row(requeued).state}


def test_the_gateways_own_refusals_cost_no_try(open_site: Opener, torchserve: StandIn) -> None:
    torchserve.next.extend([slowly(0.4)] * 2)
    site = open_site(job_timeout_seconds=0.1, job_attempts=2, slots=1)
    assert site.wait(accept(site)).attempts == 0


def test_a_note_that_breaks_the_worker_does_not_stop_the_others(open_site: Opener, torchserve: StandIn) -> None:
    torchserve.by_word["poison"] = worker_died
    site = open_site(job_attempts=4)
    notes = [accept(site, "Rat poison." if number % 3 == 0 else f"Pneumonia {number}.") for number in range(9)]
    states = [site.wait(note_id, "done", "dead").state for note_id in notes]
    assert states == ["dead" if number % 3 == 0 else "done" for number in range(9)]


def test_a_fault_of_our_own_on_one_note_does_not_stop_the_others(
    open_site: Opener, torchserve: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(job_attempts=2)
    complete = site.services.notes.complete

    def fails_on_poison(job: Any, *rest: Any) -> bool:
        if "poison" in job.note.text:
            raise KeyError(job.note.text)
        return complete(job, *rest)

    monkeypatch.setattr(site.services.notes, "complete", fails_on_poison)
    bad, good = accept(site, "Rat poison."), accept(site)
    assert site.wait(good).state == "done"
    assert site.wait(bad, "dead").error == "internal_error"


def test_a_database_that_is_away_for_a_while_stops_nothing_for_good(
    gateway_site: GatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, faults = gateway_site.services.notes.claim, [OSError("gone")] * 3

    def shaky(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return claim(*arguments)

    monkeypatch.setattr(gateway_site.services.notes, "claim", shaky)
    gateway_site.until(lambda: not faults)
    assert gateway_site.wait(accept(gateway_site)).state == "done"


def test_urgent_jobs_go_first_and_no_more_go_out_than_there_are_slots(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(slots=1, urgent_slots=0)
    torchserve.next.append(slowly(0.5))
    first = accept(site, "The first one.")
    site.until(lambda: torchserve.received)
    notes = [accept(site, f"Normal {number}.") for number in range(3)]
    notes.append(accept(site, "This one is urgent.", "urgent"))
    for note_id in [first, *notes]:
        site.wait(note_id)
    assert torchserve.texts()[:2] == ["The first one.", "This one is urgent."]
    assert torchserve.most_at_once == 1


def test_a_slow_notes_lease_is_renewed(open_site: Opener, torchserve: StandIn) -> None:
    site = open_site(lease_seconds=0.3)
    torchserve.next.append(slowly(1.2))
    note_id = accept(site)
    site.until(lambda: torchserve.received)
    held = site.row(note_id).lease
    assert held
    time.sleep(0.8)
    assert site.row(note_id).lease == held
    site.wait(note_id)
    assert len(torchserve.received) == 1


def test_what_a_worker_had_in_hand_when_it_stopped_is_taken_up_by_the_next(
    tmp_path: Any, torchserve: StandIn, code_picker: CodePicker, hurry: None
) -> None:
    database = {"database_url": f"sqlite:///{tmp_path}/shared.db", "lease_seconds": 0.4}
    torchserve.next.append(slowly(1.0))
    with open_gateway(tmp_path, torchserve, code_picker, **database) as first:
        note_id = accept(first)
        first.until(lambda: torchserve.received)
    assert first.row(note_id).state == "running"
    with open_gateway(tmp_path, torchserve, code_picker, **database) as second:
        assert second.wait(note_id).attempts == 0
        assert second.audited(note_id).count("note.predicted") == 1
