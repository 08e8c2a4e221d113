"""The gateway shows the drift monitor what it answers, and never waits for it."""

import json
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gateway_site import SECRET, GatewaySite, body
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from clincode.types import Note
from gateway import drift
from gateway.drift import DriftWatch
from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.settings import Settings
from gateway.storage.notes import Intake
from monitoring.drift.reference import ReferenceBuilder
from monitoring.drift.store import read_state

TEXT = "Patient has pneumonia today."
ANSWER = {"entities": [{"type": "DIAGNOSIS", "start_char": 12, "end_char": 21, "confidence": 0.9}]}
Opener = Callable[..., GatewaySite]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    builder = ReferenceBuilder()
    for _ in range(120):
        builder.add_text(TEXT)
        builder.add_answer(TEXT, ANSWER["entities"], "progress_note")
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(builder.built(datetime.now(UTC)).to_json()))
    return path


@pytest.fixture
def watch(reference: Path, tmp_path: Path) -> Callable[..., DriftWatch]:
    def made(registry: CollectorRegistry | None = None, **changes: Any) -> DriftWatch:
        values = {"secret_key": SECRET, "drift_reference": reference, "drift_state": tmp_path / "drift.npz"}
        return DriftWatch(Settings(**{**values, **changes}), registry or CollectorRegistry())

    return made


def gauges(text: str) -> dict[str, float]:
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {s.name + "".join(s.labels.values()): s.value for s in found if s.name.startswith("clincode_drift")}


def metrics_of(site: GatewaySite) -> dict[str, float]:
    response = site.client.get("/metrics", headers=site.key(Role.ADMIN))
    assert response.status_code == 200
    assert "pneumonia" not in response.text
    return gauges(response.text)


def test_answers_of_both_ways_are_observed_masked_and_kept_over_a_restart(
    open_site: Opener, reference: Path, tmp_path: Path
) -> None:
    settings = {"drift_reference": reference, "drift_state": tmp_path / "drift.npz"}
    site = open_site(**settings)
    assert site.client.post("/api/v1/predict", json=body("Mr. Harold Whitcombe has pneumonia.")).status_code == 200
    note = Note(body()["note_id"], TEXT)
    service = Principal("key:ehr", Role.SERVICE, PERMISSIONS[Role.SERVICE])
    site.services.notes.accept(note, Intake("notes", service))
    site.wait(note.note_id)
    site.until(lambda: metrics_of(site)["clincode_drift_observed_total"] == 2)
    found = metrics_of(site)
    assert found["clincode_drift_window_notes"] == 2
    assert found["clincode_drift_word_kl"] > 0
    assert math.isnan(found["clincode_drift_type_chi2_p"])
    assert found["clincode_drift_alertwords"] == 0
    site.services.drift.close()
    state = read_state(tmp_path / "drift.npz")
    assert state is not None
    assert b"Whitcombe" not in b"".join(each.tobytes() for each in state.values())
    again = open_site(**settings)
    assert metrics_of(again)["clincode_drift_window_notes"] == 2


def test_a_stored_answer_is_not_observed_twice(open_site: Opener, reference: Path) -> None:
    site = open_site(drift_reference=reference)
    for _ in range(3):
        request = {**body(), "note_id": "3f2b8c1e-5d7a-4e0b-9c6f-2a1d4b8e7f90"}
        assert site.client.post("/api/v1/predict", json=request).status_code == 200
    site.services.drift.close()
    assert metrics_of(site)["clincode_drift_observed_total"] == 1


def test_without_a_reference_nothing_is_watched(gateway_site: GatewaySite) -> None:
    assert gateway_site.client.post("/api/v1/predict", json=body()).status_code == 200
    assert metrics_of(gateway_site) == {}
    assert gateway_site.services.drift.report() is None


def test_a_reference_that_is_none_is_refused_at_start(watch: Callable[..., DriftWatch], tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="not a reference"):
        watch(drift_reference=tmp_path / "other.json")
    with pytest.raises(OSError, match="missing"):
        watch(drift_reference=tmp_path / "missing.json")


def test_an_overload_is_dropped_and_counted_and_nobody_waits(
    watch: Callable[..., DriftWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, go_on = CollectorRegistry(), threading.Event()
    watched = watch(registry)
    observe = watched._observe
    monkeypatch.setattr(watched, "_observe", lambda *args: (go_on.wait(), observe(*args)))
    watched.start()
    start = time.monotonic()
    for _ in range(drift.QUEUE_SIZE + 100):
        watched.saw(TEXT, ANSWER, "progress_note")
    assert time.monotonic() - start < 1.0
    dropped = registry.get_sample_value("clincode_drift_dropped_total") or 0
    assert 99 <= dropped <= 100
    go_on.set()
    watched.close()
    assert registry.get_sample_value("clincode_drift_observed_total") == drift.QUEUE_SIZE + 100 - dropped


@pytest.mark.parametrize(
    "answer", [{}, {"entities": [{"type": "GENE", "start_char": 0, "end_char": 1, "confidence": 0.5}]}]
)
def test_a_strange_answer_stops_nothing(watch: Callable[..., DriftWatch], answer: dict[str, Any]) -> None:
    registry = CollectorRegistry()
    watched = watch(registry)
    watched.start()
    for each in (answer, ANSWER):
        watched.saw(TEXT, each, "progress_note")
    watched.close()
    assert registry.get_sample_value("clincode_drift_failed_total") == 1
    assert registry.get_sample_value("clincode_drift_observed_total") == 1


def test_a_state_of_another_reference_is_left_and_a_full_disk_stops_nothing(
    watch: Callable[..., DriftWatch], tmp_path: Path
) -> None:
    (tmp_path / "drift.npz").write_bytes(b"no state")
    (tmp_path / "file").write_text("")
    for state in (tmp_path / "drift.npz", tmp_path / "file" / "drift.npz"):
        registry = CollectorRegistry()
        watched = watch(registry, drift_state=state)
        watched.start()
        watched.saw(TEXT, ANSWER, "progress_note")
        watched.close()
        assert registry.get_sample_value("clincode_drift_failed_total") >= 1
        assert registry.get_sample_value("clincode_drift_observed_total") == 1
    assert read_state(tmp_path / "drift.npz") is not None


def test_the_state_is_kept_by_time_and_scores_are_read(
    watch: Callable[..., DriftWatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_POLL_SECONDS", 0.02)
    micro = {"f1": 0.79, "interval": [0.7, 0.85], "predicted": 210}
    for week in (47, 48):
        (tmp_path / f"2026-W{week}.json").write_text(json.dumps({"entities_decided": {"micro": micro}}))
    registry = CollectorRegistry()
    watched = watch(registry, drift_labels=tmp_path, drift_save_minutes=0.0005)
    watched.start()
    watched.saw(TEXT, ANSWER, "progress_note")
    end = time.monotonic() + 10
    while not (tmp_path / "drift.npz").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    watched.refresh()
    assert registry.get_sample_value("clincode_drift_label_f1") == 0.79
    assert registry.get_sample_value("clincode_drift_alert", {"kind": "labels"}) == 1
    assert registry.get_sample_value("clincode_drift_retrain") == 1
    watched.close()
