"""Writes the three dashboards from the table below: ``python monitoring/grafana/build.py``.

A dashboard's JSON is long and alike; what is particular to it stands here once. The queries are held against what the
services expose by a test.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "clincode-prometheus"}
WIDTH = 24


@dataclass(frozen=True)
class Panel:
    """``queries`` are (legend, PromQL); ``limit`` is drawn as a line where there is one."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    limit: float | None = None
    text: str = ""
    maximum: float | None = None


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    period: str
    refresh: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def quantile(share: float, metric: str, by: str = "le", over: str = "5m") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket[{over}])))"


def mean(metric: str, over: str, by: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}_sum[{over}])) / sum{grouped} (rate({metric}_count[{over}]))"


def increase(metric: str, by: str, over: str) -> str:
    return f"sum by ({by}) (increase({metric}[{over}]))"


REAL_TIME = Dashboard(
    "clincode-real-time",
    "clincode: now",
    "now-3h",
    "15s",
    (
        Panel("Notes a minute", [("{{model_version}}", "60 * sum by (model_version) (rate(clincode_gateway_predictions_total[5m]))")], limit=10, text="Under 10 for half an hour alerts."),
        Panel("With the model", [(f"p{round(100 * q)}", quantile(q, "clincode_gateway_model_seconds")) for q in (0.5, 0.95, 0.99)], "s", limit=0.5),
        Panel("Failed requests", [("share of 5xx", "clincode:error_share")], "percentunit", limit=0.01),
        Panel("Waiting for the model", [("{{priority}}", "sum by (priority) (clincode_gateway_waiting)")]),
        Panel("Time waited, p95", [("{{priority}}", quantile(0.95, "clincode_gateway_wait_seconds", "le, priority"))], "s"),
        Panel("Whole request, p95", [("{{route}}", quantile(0.95, "clincode_gateway_request_seconds", "le, route"))], "s"),
        Panel("GPU use", [("{{instance}} {{DeviceId}}", "GPUUtilization")], "percent", limit=85, maximum=100, text="Empty on machines without a GPU."),
        Panel("GPU memory", [("{{instance}} {{DeviceId}}", "GPUMemoryUtilization")], "percent", limit=90, maximum=100, text="Empty on machines without a GPU."),
        Panel("Notes by state", [("{{state}}", "max by (state) (clincode_gateway_notes)")]),
        Panel("Stages, mean", [("{{Stage}}", mean("clincode_stage_seconds", "5m", "Stage"))], "s", width=12),
        Panel("Answers by status", [("{{status}}", "sum by (status) (rate(clincode_gateway_requests_total[5m]))")], "reqps", width=12),
    ),
)  # fmt: skip
DAILY = Dashboard(
    "clincode-daily",
    "clincode: the day",
    "now-7d",
    "5m",
    (
        Panel("Notes predicted in 24 h", [("notes", "sum(increase(clincode_gateway_predictions_total[24h]))")], kind="stat"),
        Panel("Notes that wait for a coder", [("open", 'max(clincode_gateway_notes{state="open"})')], kind="stat"),
        Panel("Set aside", [("notes", 'max(clincode_gateway_notes{state="dead"})')], kind="stat", limit=1),
        Panel("Notes a day, by door", [("{{source}}", increase("clincode_gateway_predictions_total", "source", "24h"))], width=12),
        Panel("Mean confidence of entities", [("all", "clincode:note_confidence:mean")], "percentunit", limit=0.7, maximum=1, width=12),
        Panel("Entities a note, mean", [("all", "clincode:note_entities:mean")], width=12, text="Under 2 or over 50 alerts."),
        Panel("Entities a note, distribution", [("≤ {{le}}", "sum by (le) (increase(clincode_note_entities_bucket[24h]))")], kind="bargauge", width=12),
        Panel("Confidence, distribution", [("≤ {{le}}", "sum by (le) (increase(clincode_note_confidence_bucket[24h]))")], kind="bargauge", width=12),
        Panel("Token entropy and words outside entities", [("entropy, nats", mean("clincode_note_token_entropy", "1h")), ("share outside", mean("clincode_note_outside_share", "1h"))], width=12),
        Panel("Errors in the worker, by code", [("{{Code}}", increase("clincode_errors_total", "Code", "24h"))], width=12),
        Panel("Entities a note and words outside, last whole week", [("entities", "max(clincode_drift_entities_per_note)"), ("share outside", "max(clincode_drift_outside_share)")], width=12),
    ),
)  # fmt: skip
WEEKLY = Dashboard(
    "clincode-weekly",
    "clincode: the week",
    "now-90d",
    "1h",
    (
        Panel("F1 of the reviewed sample", [("entity F1", "max(clincode_drift_label_f1)")], "percentunit", limit=0.83, maximum=1, width=12, text="Alert under 0.83; two weeks under 0.80 ask for retraining."),
        Panel("Drift of words, KL(window || training)", [("KL, nats", "max(clincode_drift_word_kl)")], limit=0.15, width=12),
        Panel("Mix of entity types, p", [("p", "max(clincode_drift_type_chi2_p)")], limit=0.01, maximum=1, width=12, text="Alert under 0.01."),
        Panel("Mix of entity types, size of the shift", [("Cramér's V", "max(clincode_drift_type_cramers_v)"), ("design effect", "max(clincode_drift_type_design_effect)")], width=12),
        Panel("Shift of confidences", [("PSI", "max(clincode_drift_confidence_psi)")], width=12),
        Panel("Alerts of drift", [("{{kind}}", "max by (kind) (clincode_drift_alert)"), ("retraining due", "max(clincode_drift_retrain)")], maximum=1, width=12),
        Panel("Notes observed", [("in the window", "max(clincode_drift_window_notes)"), ("a week", "sum(increase(clincode_drift_observed_total[7d]))")], width=12),
        Panel("Notes not observed", [("dropped", "sum(increase(clincode_drift_dropped_total[7d]))"), ("failed", "sum(increase(clincode_drift_failed_total[7d]))")], width=12),
        Panel("Notes a week, by version", [("{{model_version}}", increase("clincode_gateway_predictions_total", "model_version", "7d"))], width=24),
    ),
)  # fmt: skip
DASHBOARDS = (REAL_TIME, DAILY, WEEKLY)


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """Grafana's JSON model (schema version 39)."""
    panels, x, y = [], 0, 0
    for number, panel in enumerate(dashboard.panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + 8
        panels.append(_panel(panel, number, x, y))
        x += panel.width
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["clincode"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "time": {"from": dashboard.period, "to": "now"},
        "refresh": dashboard.refresh,
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "min": 0}
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    if panel.kind == "timeseries" and panel.limit is not None:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": 8},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for at, (legend, query) in enumerate(panel.queries)
        ],
    }


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        text = json.dumps(rendered(dashboard), indent=2, ensure_ascii=False) + "\n"
        (OUT / f"{dashboard.uid}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
