"""The audit on pipelines whose faults are known."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clincode.errors import AnalysisError
from clincode.types import Analysis, Note
from training.bias.audit import LEVELS, audit
from training.bias.compare import METRICS
from training.bias.result import BiasReport, Thresholds, new_flags
from training.bias.templates import Template, Variant

Some = tuple[list[Template], list[Variant]]


@pytest.fixture(scope="module")
def rigged(stub: Any, some: Some, denied: Any) -> BiasReport:
    return audit(stub(*some, denied), *some, resamples=1999)


def test_a_pipeline_that_treats_all_alike_has_no_flag(stub: Any, some: Some) -> None:
    report = audit(stub(*some), *some, resamples=1999)
    assert report.flags == ()
    for group in report.groups:
        assert {result.group.value for result in group.scores.values()} == {1.0}
        assert {result.count for result in group.disagreements.values()} == {0}
        assert (group.confidence.value, group.examples) == (0, ())


def test_a_pipeline_that_loses_diagnoses_of_one_group_is_flagged_for_it_alone(rigged: BiasReport) -> None:
    assert {flag.rpartition(":")[0] for flag in rigged.flags} == {"insurance:medicaid"}
    assert {flag.rpartition(":")[2] for flag in rigged.flags} >= {"entity_f1", "code_accuracy", "entity_disagreement"}
    (group,) = (group for group in rigged.groups if group.name == "insurance:medicaid")
    assert group.against == "private"
    assert group.scores["code_accuracy"].difference.high < -0.2
    assert group.kinds["missing"] > 100
    assert group.kinds["extra"] == group.kinds["boundary"] == group.kinds["type"] == 0
    excess = group.disagreements["entity"].excess
    assert excess is not None
    assert excess.value == group.disagreements["entity"].share
    assert "only in the reference" in group.examples[0].what[0]
    assert "Medicaid" in group.examples[0].text
    assert "privately insured" in group.examples[0].reference


@pytest.mark.parametrize("seed", range(4))
def test_a_pipeline_that_errs_with_everybody_has_no_flag_of_scores(
    stub: Any, some: Some, unsure: Callable[[int], Any], seed: int
) -> None:
    """Answers differ, which is flagged, but nobody's are worse."""
    report = audit(stub(*some, unsure(seed)), *some, resamples=1999)
    assert [flag for flag in report.flags if flag.rpartition(":")[2] in METRICS] == []
    assert "sex:female:entity_disagreement" in report.flags
    excess = next(group for group in report.groups if group.name == "sex:female").disagreements["entity"].excess
    assert excess is not None
    assert excess.low < 0 < excess.high


def test_the_control_shows_and_is_never_flagged(stub: Any, some: Some, unsure: Callable[[int], Any]) -> None:
    report = audit(stub(*some, unsure(1)), *some, resamples=99)
    control = [group for group in report.groups if group.dimension == "wording"]
    assert len(control) == 4
    assert all(group.disagreements["entity"].count for group in control)
    assert not any(flag.startswith("wording") for flag in report.flags)
    assert {result.p_holm for group in control for result in group.scores.values()} == {1.0}


def test_thresholds_decide(stub: Any, some: Some, denied: Any) -> None:
    report = audit(stub(*some, denied), *some, resamples=1999, thresholds=Thresholds(difference=1.1, disagreement=0.99))
    assert report.flags == ()


def test_every_note_is_read_once_in_an_order_of_the_seed(stub: Any, some: Some) -> None:
    first, again, other = stub(*some), stub(*some), stub(*some)
    report = audit(first, *some, resamples=9)
    assert audit(again, *some, resamples=9) == report
    audit(other, *some, seed=1, resamples=9)
    assert len(first.seen) == len(set(first.seen)) == report.notes
    assert first.seen == again.seen
    assert first.seen != other.seen
    assert sorted(first.seen) == sorted(other.seen)


def test_a_note_that_fails_ends_the_audit_by_the_templates_name(stub: Any, some: Some) -> None:
    class Failing:
        version = "stub"

        def analyze_batch(self, notes: Sequence[Note]) -> list[Analysis | AnalysisError]:
            return [AnalysisError("model", "ValueError at x.py:1") for _ in notes]

    with pytest.raises(ValueError, match=r"^[a-z]+-\d\d: "):
        audit(Failing(), *some)


def test_the_report_is_json(rigged: BiasReport) -> None:
    figures = json.loads(json.dumps(rigged.to_dict(), allow_nan=False))
    assert figures["flags"] == list(rigged.flags)
    group = figures["groups"][0]
    assert set(group["scores"]) == set(METRICS)
    assert set(group["disagreements"]) == set(LEVELS)
    assert figures["thresholds"] == {"difference": 0.02, "disagreement": 0.01, "alpha": 0.05}


def test_new_flags_are_those_that_the_previous_report_has_not(rigged: BiasReport) -> None:
    assert new_flags(rigged, rigged) == ()
    assert new_flags(rigged, rigged.to_dict()) == ()
    assert new_flags(rigged, {"flags": []}) == rigged.flags
    assert new_flags(rigged, {"flags": [*rigged.flags[1:], "sex:female:entity_f1"]}) == rigged.flags[:1]
