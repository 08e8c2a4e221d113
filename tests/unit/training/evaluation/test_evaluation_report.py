"""The evaluation report: what is there is shown, what is missing is said to be, and nothing comes in unescaped."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from training.corpora import GUIDELINES, TaggedSentence
from training.evaluation.measure import ner_figures
from training.evaluation.report import write_report
from training.evaluation.temperature import calibration

SENTENCES = [
    TaggedSentence(("no", "zebrafever"), ("O", "B-DIAG")),
    TaggedSentence(("gave", "aspirin", "81", "mg"), ("O", "B-MED", "I-MED", "I-MED")),
    TaggedSentence(("ct", "head"), ("B-TEST", "I-TEST")),
]
FOUND = [["O", "B-DIAG"], ["O", "B-MED", "O", "O"], ["O", "B-ANAT"]]
LATENCY: dict[str, Any] = {
    "p50": 90.0,
    "p95": 120.0,
    "p99": 130.0,
    "mean": 95.0,
    "runs": 10,
    "words": 20.0,
    "precision": "fp32",
    "load": 1.5,
    "cores": 2,
    "bins": {"heights": [3, 7], "edges": [80.0, 100.0, 130.0]},
}
SCORE = {"difference": {"value": -0.05, "low": -0.09, "high": -0.01, "p": 0.01}}
BIAS: dict[str, Any] = {
    "model": "m",
    "templates": 5,
    "notes": 40,
    "flags": ["sex:female:entity_f1"],
    "groups": [
        {
            "dimension": "sex",
            "group": "female",
            "against": "male",
            "pairs": 5,
            "scores": {"entity_f1": SCORE, "code_accuracy": {"difference": {"value": None, "low": None, "high": None}}},
            "disagreements": {"entity": {"count": 2, "of": 5}},
        }
    ],
}


def figures(**more: Any) -> dict[str, Any]:
    least = {"model": "m-<b>1", "corpus": "c", "sentences": 3, **ner_figures(FOUND, SENTENCES, GUIDELINES["clincode"])}
    return json.loads(json.dumps({**least, **more}))  # type: ignore[no-any-return]


def whole(**more: Any) -> dict[str, Any]:
    pairs = [(0.9, 1.0), (0.8, 0.0)]
    row = {"gate": "ece", "what": "w", "value": None, "sign": "≤", "limit": 0.05, "verdict": "FAILED", "note": "<i>"}
    return figures(
        systems={"production": figures()["scores"]},
        against_production={"difference": 0.1, "interval": [-0.1, 0.2], "notes": 3, "production": "p"},
        calibration=calibration(pairs, [(0.6, 1.0), (0.5, 0.0)], 1.5, "Fitted on devel."),
        negation={"precision": 1.0, "recall": 0.5, "f1": 0.667, "accuracy": 0.9},
        latency=LATENCY,
        size_gb=0.1,
        history=[{"epoch": 1.0, "loss": 0.5, "devel_f1": 0.4}, {"epoch": 2.0, "loss": 0.3, "devel_f1": 0.5}],
        bias=BIAS,
        new_bias_flags=[],
        gates={"file": "g.yaml", "remark": "r", "rows": [row]},
        provenance={"trigger": "hand <script>"},
        **more,
    )


def headings(html: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", html)


def test_everything_is_shown(tmp_path: Path) -> None:
    write_report(whole(), tmp_path / "r.html", main_figure=tmp_path / "r.png")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert headings(html) == [
        *("Gates", "Scores", "F1 by type", "Against production", "Confusion of entities", "Confusion of words"),
        *("Calibration", "Bias audit", "Errors by clinical severity", "Training", "Latency and size", "Negation"),
        "Where it comes from",
    ]
    assert html.count("<img ") == html.count('alt="') == 9
    assert "zebrafever" not in html
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", html)  # nothing is fetched
    for raw in ("m-<b>", "<i>", "<script>"):
        assert raw not in html
    assert "no evidence" in html
    assert "-0.050" in html
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "r.html").stat().st_size < 2_000_000


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write_report(figures(calibration=None, bias=None), tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Not audited." in html
    assert "Not measured: calibration, negation, latency, history." in html


@pytest.mark.parametrize(
    ("served", "shown"), [({}, "<b>0.450</b><span>ten bins"), ({"served_temperature": 1.0}, "at temperature 1.5")]
)
def test_the_calibration_error_is_that_of_the_model_as_it_serves(
    tmp_path: Path, served: dict[str, float], shown: str
) -> None:
    write_report(whole(**served), tmp_path / "r.html")
    assert shown in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_calibration_without_entities_and_a_difference_without_interval(tmp_path: Path) -> None:
    against = {"difference": 0.0, "interval": None, "notes": 1, "production": "p"}
    write_report(
        {**whole(), "calibration": calibration([], [], 1.0, ""), "against_production": against}, tmp_path / "r"
    )
    assert "ECE<b>–</b><span>not measured" in (tmp_path / "r").read_text(encoding="utf-8")


def test_the_same_figures_give_the_same_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(whole(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
