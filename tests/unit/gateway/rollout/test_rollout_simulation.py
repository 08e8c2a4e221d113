"""The hospital that is made up: its spread, and that the rules decide in it as they should."""

import numpy as np
import pytest

from gateway.rollout.ab_test import AbPlan
from gateway.rollout.canary import CanaryPlan
from gateway.rollout.decision import Action
from gateway.rollout.measures import f1_of, power_of
from gateway.rollout.simulate import Candidate, Site, draw_counts, power_points, runner, spread

SITE = Site()


@pytest.mark.parametrize("f1", [0.75, 0.80, 0.82])
def test_notes_have_the_f1_and_the_spread_that_they_are_to_have(f1: float) -> None:
    counts = draw_counts(np.random.default_rng(0), 40_000, np.full(40_000, f1), SITE)
    assert f1_of(counts)[0] == pytest.approx(f1, abs=0.003)
    # 0.113, where notes that share no difficulty would have 0.09.
    assert 0.105 < f1_of(counts)[1] < 0.125
    easy = draw_counts(np.random.default_rng(0), 40_000, np.full(40_000, f1), Site(difficulty=0.001))
    assert f1_of(easy)[1] < 0.095


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("candidate", "canary", "ab"),
    [
        (Candidate(f1=0.02), Action.PROMOTE, Action.ACCEPT),
        (Candidate(f1=-0.02), Action.ROLL_BACK, Action.REJECT),
        (Candidate(f1=0.02, errors=15.0), Action.ROLL_BACK, Action.REJECT),
        (Candidate(f1=0.02, latency=2.0), Action.ROLL_BACK, Action.REJECT),
    ],
)
def test_decisions(seed: int, candidate: Candidate, canary: Action, ab: Action) -> None:
    assert runner(SITE, CanaryPlan())(seed, candidate).action is canary
    assert runner(SITE, AbPlan(permutations=199))(seed, candidate).action is ab


def test_too_few_reviews_are_missing_evidence() -> None:
    lazy = Site(reviewed=0.02)
    outcome = runner(lazy, CanaryPlan())(0, Candidate(f1=0.05))
    assert (outcome.action, outcome.days, outcome.evidence) == (Action.ROLL_BACK, 28, False)


def test_a_seed_gives_the_same_again() -> None:
    run = runner(SITE, CanaryPlan())
    assert run(5, Candidate()) == run(5, Candidate())


def test_power_is_what_the_formula_says() -> None:
    [point] = power_points([600], 0.02, site=SITE, runs=60, permutations=199)
    assert point["found"] == pytest.approx(power_of(600, spread(SITE), 0.02), abs=0.16)
