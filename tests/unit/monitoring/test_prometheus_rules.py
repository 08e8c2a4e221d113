"""The alert rules by Prometheus' own tool, and the dashboards by Grafana's own models."""

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool: Debian's package prometheus")


def promtool(*arguments: str, cwd: Path = PROMETHEUS) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@needs_promtool
def test_rules_are_well_formed_and_do_what_their_tests_say() -> None:
    promtool("check", "rules", "rules.yml")
    promtool("test", "rules", "rules.test.yml")


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text(encoding="utf-8"))["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    for silent in (True, False):
        tried = {check["alertname"] for check in checks if (not check["exp_alerts"]) is silent}
        missing = alerts - tried
        # Silent for one instance while it fires for another, or as its twin for the gateway.
        assert missing <= ({"TorchServeDown", "GpuMemoryFull"} if silent else set()), (silent, missing)


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert {"summary", "action"} <= rule["annotations"].keys(), rule["alert"]
            assert rule["labels"]["severity"] in {"warning", "critical"}
            for page in re.findall(r"docs/[\w-]+\.md", rule["annotations"]["action"]):
                assert (ROOT / page).is_file(), page


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_of_grafanas(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    dashboard = Dashboard.from_json(content)
    assert dashboard.uid == path.stem
    assert dashboard.panels
    places = [tuple(panel["gridPos"].values()) for panel in content["panels"]]
    assert len(set(places)) == len(places)
    assert all(x + width <= 24 for x, _, width, _ in places)


def test_there_are_three_dashboards_and_they_are_as_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "monitoring" / "grafana"))
    build = importlib.import_module("build")
    assert [path.stem for path in DASHBOARDS] == sorted(board.uid for board in build.DASHBOARDS)
    for board in build.DASHBOARDS:
        path = ROOT / "monitoring" / "grafana" / "dashboards" / f"{board.uid}.json"
        assert json.loads(path.read_text(encoding="utf-8")) == build.rendered(board), "run monitoring/grafana/build.py"


@needs_promtool
def test_each_query_of_a_dashboard_is_promql(tmp_path: Path) -> None:
    queries = [
        target["expr"]
        for path in DASHBOARDS
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]
    group = {"name": "queries", "rules": [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]}
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    promtool("check", "rules", str(file), cwd=tmp_path)
