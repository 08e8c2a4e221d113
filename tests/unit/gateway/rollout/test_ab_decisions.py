"""When the candidate of an experiment is accepted, rejected, and goes on."""

from typing import Any

import numpy as np
import pytest
from rollout_samples import make_arm, slowed

from gateway.rollout.ab_test import AbEvidence, AbPlan, decide
from gateway.rollout.decision import Action, Looked
from gateway.rollout.measures import Arm

PLAN = AbPlan(permutations=499)
ENOUGH = 1400
CONTROL = make_arm(0.80, ENOUGH, notes=3000, seed=1)
ACCEPT, REJECT, CONTINUE = Action.ACCEPT, Action.REJECT, Action.CONTINUE


@pytest.mark.parametrize(
    ("days", "arm", "action", "said"),
    [
        (7, {"f1": 0.82}, ACCEPT, "significantly better"),
        (7, {"f1": 0.80}, REJECT, "not significantly better"),
        (7, {"f1": 0.803}, REJECT, "not significantly better"),
        (7, {"f1": 0.797}, REJECT, "not significantly better"),
        (6.9, {"f1": 0.82}, CONTINUE, "in 0 whole weeks"),
        (7, {"f1": 0.82, "reviewed": 998}, CONTINUE, "998 of "),
        (7, {"f1": 0.82, "reviewed": 0}, CONTINUE, "0 of 1000 reviewed notes"),
        (56, {"f1": 0.82, "reviewed": 998}, REJECT, "missing evidence after 8 weeks"),
        (56, {"f1": 0.82, "reviewed": 0}, REJECT, "missing evidence"),
        (2, {"f1": 0.75}, REJECT, "clearly worse"),
        (0.5, {"f1": 0.82, "failed": 200}, REJECT, "out of bounds, error rate"),
        (0.5, {"latencies_ms": slowed(1.5, 3000)}, REJECT, "out of bounds, p95"),
        (7, {"f1": 0.82, "latencies_ms": slowed(1.05, 3000)}, ACCEPT, "significantly better"),
        (7, {"f1": 0.82, "confidences": np.full(3000, 0.99)}, REJECT, "out of bounds, mean confidence"),
        (7, {"f1": 0.82, "assigned": 2500}, REJECT, "notes are not shared out as planned"),
    ],
)
def test_decisions(days: float, arm: dict[str, Any], action: Action, said: str) -> None:
    candidate = make_arm(**{"f1": 0.80, "reviewed": ENOUGH, "notes": 3000, "seed": 2, **arm})
    whole = (CONTROL, candidate) if days >= 7 else (Arm(), Arm())
    decision = decide(AbEvidence(days, CONTROL, candidate, whole), PLAN)
    assert (decision.action, said in "; ".join(decision.reasons)) == (action, True), decision.reasons


def test_a_confidence_that_moves_in_the_middle_alone_is_seen() -> None:
    """The mean stays; half of the notes go up, half go down."""
    parted = np.concatenate([np.full(1500, 0.70), np.full(1500, 1.02)])
    candidate = make_arm(0.82, ENOUGH, notes=3000, confidences=parted)
    decision = decide(AbEvidence(7, CONTROL, candidate, (CONTROL, candidate), looked=Looked(hours=168)), PLAN)
    assert decision.action is REJECT
    assert decision.reasons[0].startswith("out of bounds, confidence's decile")


def test_a_guardrail_and_the_test_are_both_said() -> None:
    """An early look has let it pass already: the end is stricter."""
    candidate = make_arm(0.82, ENOUGH, notes=3000, failed=36)
    decision = decide(AbEvidence(7, CONTROL, candidate, (CONTROL, candidate), looked=Looked(hours=168)), PLAN)
    assert decision.action is REJECT
    assert [reason.split(":")[0] for reason in decision.reasons] == ["out of bounds, error rate", "better, but"]


def test_only_notes_of_whole_weeks_are_tested() -> None:
    better = make_arm(0.9, ENOUGH, notes=3000)
    same = make_arm(0.80, ENOUGH, notes=3000)
    assert decide(AbEvidence(9, CONTROL, better, (CONTROL, same)), PLAN).action is REJECT


def test_what_the_power_asks_for_is_said() -> None:
    figures = decide(AbEvidence(3, CONTROL, make_arm(0.80, ENOUGH), (Arm(), Arm())), PLAN).figures
    assert figures["needed_of_each"] >= figures["needed_for_80_percent"] >= 1000
    assert (figures["weeks"], "p" in figures) == (0, False)


def test_the_test_is_the_same_each_time() -> None:
    evidence = AbEvidence(7, CONTROL, make_arm(0.803, ENOUGH), (CONTROL, make_arm(0.803, ENOUGH)))
    assert decide(evidence, PLAN).figures == decide(evidence, PLAN).figures


@pytest.mark.parametrize("values", [{"difference": 0}, {"power": 0.3}, {"least_weeks": 9}, {"alpha": 0}])
def test_plans_of_nonsense(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        AbPlan(**values)  # type: ignore[arg-type]
