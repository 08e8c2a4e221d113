"""A hospital in which the truth is known: how often do the rules of canary and experiment decide as they should?

A day has its notes (fewer and harder ones at weekends), a share of which is reviewed some time later. A note's counts
are over-dispersed: it has a number of entities of its own and a difficulty of its own, which all of its entities share.
The rules are those that decide in earnest; nothing here is known to them but counts, latencies, errors and confidences.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.feedback.intervals import Counts
from gateway.rollout import ab_test, canary
from gateway.rollout.ab_test import AbEvidence, AbPlan
from gateway.rollout.canary import CanaryEvidence, CanaryPlan
from gateway.rollout.decision import NOT_LOOKED, Action, Decision
from gateway.rollout.measures import Arm, Floats, f1_of, permutation_p

_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Site:
    """``difficulty`` is the standard deviation between notes of the share found that is not chance."""

    notes_on_weekday: float = 1000.0
    weekend: float = 0.4
    reviewed: float = 0.5
    """Share of the notes that coders review whole."""
    review_days: float = 0.5
    """Mean time until a note's review is finished (exponential)."""
    entities: float = 15.0
    entities_shape: float = 3.0
    """Of the gamma that spreads the number of a note's entities: 3 means a coefficient of variation of 0.63."""
    f1: float = 0.80
    weekend_f1: float = -0.03
    difficulty: float = 0.07
    latency_ms: float = 120.0
    latency_spread: float = 0.45
    """Of the logarithm."""
    error_rate: float = 0.003
    confidence: float = 0.86
    confidence_spread: float = 0.06

    def notes_on(self, day: int) -> float:
        return self.notes_on_weekday * (self.weekend if day % 7 >= 5 else 1.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """How it differs from production: F1 in absolute terms, the others as factors."""

    f1: float = 0.0
    latency: float = 1.0
    errors: float = 1.0
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Stream:
    """One arm's notes of the whole time, in the order of their coming."""

    at: Floats
    reviewed_at: Floats
    """In hours; infinite where a note is never reviewed whole."""
    counts: Counts
    latencies_ms: Floats
    failed: Floats
    confidences: Floats

    def arm(self, now: float, until: float = math.inf) -> Arm:
        """What is known at ``now`` of the notes that came before ``until``."""
        n = int(np.searchsorted(self.at, min(now, until), side="left"))
        is_reviewed = self.reviewed_at[:n] <= now
        answered = self.failed[:n] == 0
        counts = self.counts[:n][is_reviewed & answered]
        latencies, confidences = self.latencies_ms[:n][answered], self.confidences[:n][answered]
        return Arm(counts, latencies, confidences, n, int(n - answered.sum()), len(counts))


@dataclass(frozen=True, slots=True)
class Outcome:
    action: Action
    days: float
    reviewed: int
    """Of the candidate."""
    alarm: bool
    """Whether an early look ended it."""
    evidence: bool
    """Whether there was enough of it."""


def draw_counts(draw: np.random.Generator, n: int, f1: Floats, site: Site) -> Counts:
    """Counts of ``n`` notes: each gold entity is found, and each found one right, with the note's own probability."""
    gold = draw.poisson(draw.gamma(site.entities_shape, site.entities / site.entities_shape, n))
    middle = np.clip(f1, 0.02, 0.98)
    concentration = np.maximum(middle * (1 - middle) / site.difficulty**2 - 1, 1.0)
    own = np.clip(draw.beta(middle * concentration, (1 - middle) * concentration), 0.02, 1.0)
    found = draw.binomial(gold, own)
    # As many false ones as make precision equal to recall in the mean.
    false = draw.poisson(gold * (1 - own))
    return np.stack([found, false, gold - found], axis=1).astype(np.int64)


def draw_stream(draw: np.random.Generator, site: Site, candidate: Candidate, share: float, days: int) -> Stream:
    per_day = [int(draw.poisson(site.notes_on(day) * share)) for day in range(days)]
    at = np.concatenate([np.sort(day + draw.random(n)) for day, n in enumerate(per_day)])
    n = len(at)
    weekend = (at.astype(np.int64) % 7) >= 5
    f1: Floats = site.f1 + candidate.f1 + site.weekend_f1 * weekend.astype(np.float64)
    reviewed_at = at + draw.exponential(site.review_days, n)
    reviewed_at[draw.random(n) >= site.reviewed] = math.inf
    latency = site.latency_ms * candidate.latency * np.exp(site.latency_spread * draw.standard_normal(n))
    confidence = site.confidence * candidate.confidence + site.confidence_spread * draw.standard_normal(n)
    return Stream(
        at=_HOURS * at,
        reviewed_at=_HOURS * reviewed_at,
        counts=draw_counts(draw, n, f1, site),
        latencies_ms=latency,
        failed=(draw.random(n) < site.error_rate * candidate.errors).astype(np.float64),
        confidences=np.clip(confidence, 0.0, 1.0),
    )


def run_canary(
    seed: int, candidate: Candidate, *, site: Site, plan: CanaryPlan, share: float = 0.05, step_hours: float = 12.0
) -> Outcome:
    """A canary from its start to its decision, with a look every ``step_hours``."""
    draw = np.random.default_rng([1, seed])
    days = math.ceil(plan.longest_hours / _HOURS) + 1
    production = draw_stream(draw, site, Candidate(), 1 - share, days)
    stream = draw_stream(draw, site, candidate, share, days)
    looked, hours = NOT_LOOKED, 0.0
    while True:
        hours += step_hours
        decision = canary.decide(CanaryEvidence(hours, production.arm(hours), stream.arm(hours), looked), plan)
        looked = decision.looked
        if decision.action.is_final:
            return _outcome(decision, hours)


def run_ab(
    seed: int, candidate: Candidate, *, site: Site, plan: AbPlan, share: float = 0.5, step_hours: float = 24.0
) -> Outcome:
    """An experiment from its start to its decision."""
    draw = np.random.default_rng([2, seed])
    days = 7 * plan.longest_weeks + 1
    control = draw_stream(draw, site, Candidate(), 1 - share, days)
    stream = draw_stream(draw, site, candidate, share, days)
    looked, hours = NOT_LOOKED, 0.0
    while True:
        hours += step_hours
        weeks = _HOURS * 7 * (hours // (7 * _HOURS))
        whole = control.arm(hours, weeks), stream.arm(hours, weeks)
        evidence = AbEvidence(hours / _HOURS, control.arm(hours), stream.arm(hours), whole, share, looked)
        decision = ab_test.decide(evidence, plan, seed=seed)
        looked = decision.looked
        if decision.action.is_final:
            return _outcome(decision, hours)


def summarise(outcomes: list[Outcome]) -> dict[str, Any]:
    """Shares of the actions, and how long it took."""
    days = sorted(each.days for each in outcomes)
    actions = [str(each.action) for each in outcomes]
    return {
        "seeds": len(outcomes),
        "actions": {name: actions.count(name) for name in sorted(set(actions))},
        "early": sum(each.alarm for each in outcomes),
        "missing_evidence": sum(not each.evidence for each in outcomes),
        "days": {"median": float(np.median(days)), "least": days[0], "most": days[-1]},
        "reviewed_of_candidate": float(np.median([each.reviewed for each in outcomes])),
    }


def power_points(
    sizes: list[int], effect: float, *, site: Site, runs: int, permutations: int = 499, seed: int = 0
) -> Iterator[dict[str, float]]:
    """Of each size of the variants: how often the permutation test finds ``effect`` at 0.05, and in the right
    direction."""
    draw = np.random.default_rng([3, seed])
    for n in sizes:
        hits = 0
        for _ in range(runs):
            control, candidate = (draw_counts(draw, n, np.full(n, site.f1 + each), site) for each in (0.0, effect))
            right = f1_of(candidate)[0] > f1_of(control)[0]
            hits += right and permutation_p(control, candidate, permutations=permutations, seed=seed) < 0.05
        yield {"n": n, "runs": runs, "found": hits / runs}


def spread(site: Site, *, notes: int = 50_000, seed: int = 0) -> float:
    """Standard deviation of a note's part in the F1 at the site."""
    draw = np.random.default_rng([4, seed])
    return f1_of(draw_counts(draw, notes, np.full(notes, site.f1), site))[1]


def runner(site: Site, plan: CanaryPlan | AbPlan) -> Callable[[int, Candidate], Outcome]:
    """One run at the site; the plan says whether of a canary or of an experiment."""
    if isinstance(plan, CanaryPlan):
        return lambda seed, candidate: run_canary(seed, candidate, site=site, plan=plan)
    fewer = replace(plan, permutations=min(plan.permutations, 999))
    return lambda seed, candidate: run_ab(seed, candidate, site=site, plan=fewer)


def _outcome(decision: Decision, hours: float) -> Outcome:
    said = " ".join(decision.reasons)
    reviewed = int(decision.figures["candidate"]["reviewed"])
    early = said.startswith(("clearly worse", "out of bounds")) and decision.action in {Action.ROLL_BACK, Action.REJECT}
    return Outcome(decision.action, hours / _HOURS, reviewed, early, "missing evidence" not in said)
