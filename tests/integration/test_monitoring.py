"""What the rules and the dashboards ask for is what the running services show, and it moves."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from .conftest import Server, free_ports
from .gateway_server import Gateway, running_gateway

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring" / "prometheus" / "rules.yml"
DASHBOARDS = ROOT / "monitoring" / "grafana" / "dashboards"
# No GPU here: TorchServe shows these on machines that have one. `up` is Prometheus' own.
NOT_HERE = {"GPUUtilization", "GPUMemoryUtilization", "up"}
_NAME = re.compile(r"\b((?:clincode|GPU)[A-Za-z0-9_]*(?::[a-z0-9_]+)*|up)\b(?!\s*\()")
NOTE = "Pneumonia and atrial fibrillation. Denies chest pain. Started apixaban 5 mg. Troponin normal."


@pytest.fixture(scope="module")
def gateway(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("monitored")
    settings = {"drift_reference": str(ROOT / "config" / "drift-reference.json"), "drift_state": str(folder / "drift")}
    with running_gateway(server, folder / "run", **settings) as running:
        yield running


def asked_for() -> set[str]:
    """Names of metrics in rules and dashboards, without those that the rules themselves record."""
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    queries = [rule["expr"] for rule in rules]
    for path in DASHBOARDS.glob("*.json"):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            queries += [target["expr"] for target in panel["targets"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    # Labels in braces and groupings name no metrics.
    plain = [re.sub(r"\{[^}]*\}|\b(?:by|without) \([^)]*\)", " ", query) for query in queries]
    return {name for query in plain for name in _NAME.findall(query)} - recorded - NOT_HERE


def scraped(server: Server, gateway: Gateway) -> dict[str, float]:
    """The sum of each sample's values, by its name, over both services."""
    with gateway.client() as client:
        texts = [client.get("/metrics").raise_for_status().text, httpx.get(f"{server.metrics}/metrics").text]
    sums: dict[str, float] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def post_notes(gateway: Gateway, count: int) -> None:
    with gateway.client() as client:
        for _ in range(count):
            body = {"note_id": str(uuid4()), "note_text": NOTE, "note_type": "progress_note"}
            client.post("/api/v1/predict", json=body).raise_for_status()
            client.post("/api/v1/notes", json={**body, "note_id": str(uuid4())}).raise_for_status()


def test_every_metric_that_is_asked_for_is_shown_and_moves(server: Server, gateway: Gateway) -> None:
    post_notes(gateway, 1)
    server.post({"note_id": "no uuid", "note_text": "x", "note_type": "progress_note"})
    time.sleep(2)
    before = scraped(server, gateway)
    wanted = asked_for()
    assert {"clincode_gateway_model_seconds_bucket", "clincode_note_confidence_sum", "clincode_drift_word_kl"} <= wanted
    assert sorted(wanted - before.keys()) == []
    post_notes(gateway, 3)
    server.post({"note_id": "no uuid", "note_text": "x", "note_type": "progress_note"})
    time.sleep(3)
    after = scraped(server, gateway)
    counted = {name for name in wanted if name.endswith(("_total", "_count", "_bucket", "_sum"))}
    still = {name for name in counted if after[name] <= before[name]}
    # Nothing was dropped and nothing failed in the watch of drift; the others all moved.
    assert still <= {"clincode_drift_dropped_total", "clincode_drift_failed_total"}


@pytest.mark.skipif(not shutil.which("prometheus"), reason="no Prometheus: Debian's package prometheus")
def test_a_real_prometheus_scrapes_both_and_evaluates_the_rules(
    server: Server, gateway: Gateway, tmp_path: Path
) -> None:
    config = yaml.safe_load((ROOT / "monitoring" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "key").write_text(gateway.key(), encoding="utf-8")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs["gateway"]["authorization"]["credentials_file"] = str(tmp_path / "key")
    jobs["gateway"]["static_configs"][0]["targets"] = [gateway.url.removeprefix("http://")]
    jobs["torchserve"]["static_configs"][0]["targets"] = [server.metrics.removeprefix("http://")]
    config["rule_files"] = [str(RULES)]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (port,) = free_ports(1)
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(10):
            post_notes(gateway, 1)
            time.sleep(1)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            up = {each["metric"]["job"]: each["value"][1] for each in query(port, "up")}
            if up == {"gateway": "1", "torchserve": "1"} and query(port, "clincode:model_seconds:p95"):
                break
            time.sleep(1)
        assert up == {"gateway": "1", "torchserve": "1"}
        assert float(query(port, "clincode:model_seconds:p95")[0]["value"][1]) > 0
        assert float(query(port, "clincode:note_entities:mean")[0]["value"][1]) > 0
        groups = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
        faults = {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule}
        assert faults == {}
    finally:
        process.terminate()
        process.wait(30)


def query(port: int, expression: str) -> list[dict[str, Any]]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=5)
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
    except (httpx.HTTPError, KeyError, ValueError):
        return []
    return result
