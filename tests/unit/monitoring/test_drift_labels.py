"""Weekly scores: alert below 0.83, retrain after two below 0.80."""

from typing import Any

import pytest

from monitoring.drift.labels import LabelWeek, judge, label_week


def week(number: int, f1: float, predictions: int = 250) -> LabelWeek:
    return LabelWeek(f"2026-W{number:02}", f1, f1 - 0.03, f1 + 0.03, predictions)


@pytest.mark.parametrize(
    ("scores", "verdict", "since"),
    [
        ([], "too_few", None),
        ([0.90], "ok", None),
        ([0.83], "ok", None),  # not below
        ([0.829], "alert", "2026-W01"),
        ([0.90, 0.82, 0.81], "alert", "2026-W02"),
        ([0.79], "alert", "2026-W01"),
        ([0.79, 0.80], "alert", "2026-W01"),
        ([0.90, 0.79, 0.799], "retrain", "2026-W02"),
        ([0.70, 0.70, 0.70], "retrain", "2026-W01"),
        ([0.79, 0.85, 0.79], "alert", "2026-W03"),
        ([0.79, 0.79, 0.85], "ok", None),
    ],
)
def test_verdicts(scores: list[float], verdict: str, since: str | None) -> None:
    found = judge([week(number, f1) for number, f1 in enumerate(scores, 1)])
    assert (found.verdict, found.since) == (verdict, since)


def test_the_order_of_files_is_nothing_and_years_follow_each_other() -> None:
    weeks = [LabelWeek("2027-W01", 0.79, 0.7, 0.8, 200), LabelWeek("2026-W53", 0.79, 0.7, 0.8, 200)]
    assert judge(weeks).verdict == judge(weeks[::-1]).verdict == "retrain"
    assert judge(weeks).since == "2026-W53"


def test_a_week_with_too_few_reviewed_neither_raises_nor_ends_an_alert() -> None:
    assert judge([week(1, 0.5, predictions=199)]).verdict == "too_few"
    found = judge([week(1, 0.79), week(2, 0.99, predictions=30), week(3, 0.79)])
    assert (found.verdict, found.since) == ("retrain", "2026-W01")
    assert found.latest == week(3, 0.79)


def test_sure_is_what_chance_does_not_explain() -> None:
    assert not judge([week(1, 0.82)]).is_sure
    assert judge([week(1, 0.79)]).is_sure
    assert not judge([week(1, 0.78), week(2, 0.76)]).is_sure
    assert judge([week(1, 0.76), week(2, 0.76)]).is_sure


def figures(f1: float = 0.85, interval: list[float] | None = None, predicted: int = 240) -> dict[str, Any]:
    micro = {"f1": f1, "interval": interval, "predicted": predicted}
    return {"entities": {"micro": {**micro, "f1": 0.95}}, "entities_decided": {"micro": micro}}


def test_a_score_is_read_by_its_scope() -> None:
    assert label_week("2026-W48", figures(interval=[0.8, 0.9])) == LabelWeek("2026-W48", 0.85, 0.8, 0.9, 240)
    assert label_week("2026-W48", figures(), "entities").f1 == 0.95
    assert (label_week("2026-W48", figures()).low, label_week("2026-W48", figures()).high) == (0, 1)


@pytest.mark.parametrize("content", [{}, {"entities_decided": {}}, {"entities_decided": {"micro": {"f1": 1}}}, []])
def test_other_json_is_refused_by_week(content: Any) -> None:
    with pytest.raises(ValueError, match="2026-W48"):
        label_week("2026-W48", content)
