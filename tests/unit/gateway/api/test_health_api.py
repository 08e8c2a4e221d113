"""What probes and monitors are told."""

import time
from typing import Any

import pytest
from gateway_site import GatewaySite, body, code_of
from prometheus_client.parser import text_string_to_metric_families
from torchserve_stand_in import BUSY, slowly

from gateway.api import health
from gateway.security.permissions import Role

ALL_WELL = {"database": True, "model": True, "routing": True}


def test_it_lives_for_everybody_whatever_else_is_down(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.stop()
    response = gateway_site.stranger().get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready(gateway_site: GatewaySite) -> None:
    response = gateway_site.client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "checks": ALL_WELL})
    gateway_site.client.get("/health/ready")
    assert len(gateway_site.torchserve.received) == 1  # asked once in five seconds
    assert gateway_site.stranger().get("/health/ready").status_code == 401


@pytest.mark.parametrize("fault", ["down", "busy", "slow", "another database"])
def test_not_ready_says_what_fails(gateway_site: GatewaySite, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(health, "LIMIT_SECONDS", 0.3)
    if fault == "down":
        gateway_site.torchserve.stop()
    elif fault == "busy":
        gateway_site.torchserve.next.append(BUSY)
    elif fault == "slow":
        gateway_site.torchserve.next.append(slowly(1.0))
    else:
        monkeypatch.setattr(gateway_site.services.database, "is_current", lambda: False)
    response = gateway_site.client.get("/health/ready")
    failing = "database" if fault == "another database" else "model"
    assert response.status_code == 503
    assert response.json() == {"status": "not_ready", "checks": {**ALL_WELL, failing: False}}


def test_a_database_that_hangs_is_not_waited_for(gateway_site: GatewaySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(gateway_site.services.database, "is_current", lambda: time.sleep(1.0))
    start = time.monotonic()
    response = gateway_site.client.get("/health/ready")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, False)
    assert time.monotonic() - start < 0.9


def test_the_model_answers_a_sentence_within_two_seconds(gateway_site: GatewaySite) -> None:
    response = gateway_site.client.post("/api/v1/health")
    assert response.status_code == 200
    answered = response.json()
    assert (answered["status"], answered["model_version"]) == ("ok", gateway_site.torchserve.version)
    assert 0 <= answered["processing_time_ms"] < 2000
    assert gateway_site.torchserve.texts() == [health.SENTENCE.text]
    assert gateway_site.services.notes.counts()["done"] == 0  # it is no note


@pytest.mark.parametrize(("fault", "code"), [("down", "model_unavailable"), ("slow", "deadline_exceeded")])
def test_or_it_is_a_503_after_two_seconds(gateway_site: GatewaySite, fault: str, code: str) -> None:
    if fault == "down":
        gateway_site.torchserve.stop()
    else:
        gateway_site.torchserve.next.append(slowly(2.4))
    start = time.monotonic()
    response = gateway_site.client.post("/api/v1/health")
    assert (response.status_code, code_of(response)) == (503, code)
    assert response.headers["Retry-After"]
    assert time.monotonic() - start < 2.3


def samples(site: GatewaySite) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = site.client.get("/metrics").text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def test_metrics_move(gateway_site: GatewaySite) -> None:
    def value(name: str, **labels: Any) -> float:
        return samples(gateway_site).get((name, tuple(sorted(labels.items()))), 0.0)

    route = {"route": "/api/v1/predict"}
    asked = {"method": "POST", **route}
    gateway_site.client.post("/api/v1/predict", json=body())
    gateway_site.client.post("/api/v1/predict", json=body(""))
    sent = body()
    gateway_site.client.post("/api/v1/notes", json=sent)
    gateway_site.wait(sent["note_id"])
    version = gateway_site.torchserve.version
    assert value("clincode_gateway_requests_total", status="200", **asked) == 1
    assert value("clincode_gateway_requests_total", status="422", **asked) == 1
    assert value("clincode_gateway_request_seconds_count", **route) == 2
    gateway_site.until(lambda: value("clincode_gateway_predictions_total", model_version=version, source="job") == 1)
    assert value("clincode_gateway_predictions_total", model_version=version, source="predict") == 1
    assert value("clincode_gateway_model_seconds_count", route="production") == 2
    assert value("clincode_gateway_wait_seconds_count", priority="normal_request") == 1
    assert value("clincode_gateway_notes", state="done") == 2
    assert value("clincode_gateway_waiting", priority="normal_job") == 0


def test_an_address_nobody_knows_makes_no_label_of_its_own(gateway_site: GatewaySite) -> None:
    for path in ("/zyxwort", "/api/v1/zyxwort", "/review/static/zyxwort"):
        gateway_site.client.get(path)
    gateway_site.client.request("ZYXWORT", "/api/v1/predict")
    text = gateway_site.client.get("/metrics").text
    assert "zyxwort" not in text.lower()
    assert 'method="other"' in text


def test_metrics_are_for_those_who_may(gateway_site: GatewaySite) -> None:
    assert gateway_site.stranger().get("/metrics").status_code == 401
    assert gateway_site.client.get("/metrics", headers=gateway_site.key(Role.CODER)).status_code == 403
    assert gateway_site.client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")
