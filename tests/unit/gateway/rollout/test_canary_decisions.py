"""When a canary is promoted, rolled back, and made to wait."""

from typing import Any

import numpy as np
import pytest
from rollout_samples import make_arm, slowed

from gateway.rollout.canary import CanaryEvidence, CanaryPlan, decide
from gateway.rollout.decision import Action, Looked, spent
from gateway.rollout.guardrails import guardrails
from gateway.rollout.measures import Arm

PLAN = CanaryPlan()
PRODUCTION = make_arm(0.80, 8000, notes=20_000, seed=1)
WAIT, PROMOTE, ROLL_BACK = Action.WAIT, Action.PROMOTE, Action.ROLL_BACK


def verdict(
    hours: float, canary: Arm, production: Arm = PRODUCTION, looked: Looked | None = None
) -> tuple[Action, str]:
    evidence = CanaryEvidence(hours, production, canary, looked or Looked())
    decision = decide(evidence, PLAN)
    return decision.action, "; ".join(decision.reasons)


@pytest.mark.parametrize(
    ("hours", "arm", "action", "said"),
    [
        (24, {"f1": 0.80}, PROMOTE, "at least production's"),
        (24, {"f1": 0.82}, PROMOTE, "+2.00 points"),
        (24, {"f1": 0.795}, ROLL_BACK, "below production's"),
        (23.9, {"f1": 0.82}, WAIT, "23.9 of 24 hours"),
        (24, {"f1": 0.82, "reviewed": 98}, WAIT, "98 of "),
        (24, {"f1": 0.82, "reviewed": 0}, WAIT, "0 of at least 100 reviewed notes"),
        (24, {"f1": 0.82, "reviewed": 0, "finished": 412}, WAIT, "412 finished"),
        (672, {"f1": 0.82, "reviewed": 98}, ROLL_BACK, "missing evidence after 672 hours: the canary has 98 of "),
        (672, {"f1": 0.82, "reviewed": 0}, ROLL_BACK, "missing evidence"),
        (672, {"f1": 0.80}, PROMOTE, "at least production's"),
        (5, {"f1": 0.70, "reviewed": 150}, ROLL_BACK, "clearly worse: F1 -10.0 points"),
        (5, {"f1": 0.70, "reviewed": 20}, WAIT, "20 of "),
        (5, {"f1": 0.79, "reviewed": 150}, WAIT, "150 of "),
        (1, {"failed": 200, "reviewed": 0}, ROLL_BACK, "out of bounds, error rate: 0.1 beside 0.003"),
        (1, {"latencies_ms": slowed(2.0), "reviewed": 0}, ROLL_BACK, "out of bounds, p95 of latency"),
        (1, {"confidences": np.full(2000, 0.5), "reviewed": 0}, ROLL_BACK, "out of bounds, mean confidence"),
        (24, {"f1": 0.82, "latencies_ms": slowed(1.1)}, PROMOTE, "at least"),
        (24, {"f1": 0.82, "failed": 0}, PROMOTE, "at least"),
    ],
)
def test_decisions(hours: float, arm: dict[str, Any], action: Action, said: str) -> None:
    found, reasons = verdict(hours, make_arm(**{"reviewed": 1000, "seed": 2, **arm}))
    assert (found, said in reasons) == (action, True), reasons


def test_nothing_at_all_waits_and_then_fails() -> None:
    assert verdict(24, Arm(), Arm())[0] is WAIT
    assert verdict(672, Arm(), Arm()) == (
        ROLL_BACK,
        "missing evidence after 672 hours: the canary has 0 of at least 100 reviewed notes",
    )
    assert verdict(672, make_arm(0.9, 1000), Arm())[0] is ROLL_BACK


def test_a_bound_that_chance_explains_is_none() -> None:
    """1 error of 20 is ten times production's rate, and says nothing; 1 hour is too little time, once looked."""
    assert verdict(3, make_arm(reviewed=0, notes=20, failed=1))[0] is WAIT
    harmed = make_arm(reviewed=0, failed=200)
    assert verdict(3.5, harmed, looked=Looked(hours=3.0))[0] is WAIT
    assert verdict(4.0, harmed, looked=Looked(hours=3.0))[0] is ROLL_BACK


def test_looks_are_paid_for_once() -> None:
    canary = make_arm(0.79, 200)
    first = decide(CanaryEvidence(6, PRODUCTION, canary), PLAN)
    assert (first.action, first.is_look, first.looked.hours) == (WAIT, True, 6)
    assert 0 < first.looked.information == pytest.approx(first.figures["information"], abs=1e-4)
    again = decide(CanaryEvidence(6, PRODUCTION, canary, first.looked), PLAN)
    assert (again.action, again.is_look, again.looked) == (WAIT, False, first.looked)
    assert again.reasons == first.reasons


def test_the_budget_of_alarms_is_spent_in_full_and_no_more() -> None:
    steps = [spent(i / 20, 0.01) for i in range(21)]
    assert steps[0] == 0
    assert steps[-1] == pytest.approx(0.01)
    assert steps == sorted(steps)
    assert spent(3.0, 0.01) == pytest.approx(0.01)


def test_more_spread_needs_more_notes() -> None:
    decision = decide(CanaryEvidence(24, PRODUCTION, make_arm(0.82, 150)), PLAN)
    needed = decision.figures["needed_of_canary"]
    assert decision.action is WAIT
    assert decide(CanaryEvidence(24, PRODUCTION, make_arm(0.82, needed + 20)), PLAN).action is PROMOTE


def test_guardrails_are_one_sided_where_less_is_better() -> None:
    fast = make_arm(latencies_ms=slowed(0.3), failed=0)
    assert all(each.p == 1.0 for each in guardrails(make_arm(), fast, 0.1) if "confidence" not in each.name)
    assert not guardrails(Arm(), Arm(), 0.1)[0].is_broken(0.05)


@pytest.mark.parametrize(
    "values", [{"margin": 0}, {"mistake": 0.7}, {"least_hours": 800}, {"limit": -0.1}, {"harm_budget": 0}]
)
def test_plans_of_nonsense(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        CanaryPlan(**values)
