"""When a canary is promoted, when it is rolled back, and how long it must wait. Pure; ``docs/rollout.md`` says why."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from gateway.rollout.decision import NOT_LOOKED, Action, Budget, Decision, Looked, early_look, figures_of
from gateway.rollout.guardrails import Guardrail, guardrails
from gateway.rollout.measures import Arm, Difference, difference, quantile


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """``margin``: the difference of F1 that must be told apart from none: a model that is worse by so much is promoted,
    and one that is better by so much is rolled back, with a probability of ``mistake`` each.

    Raises:
        ValueError: a figure does not make sense.
    """

    least_hours: float = 24.0
    longest_hours: float = 28 * 24.0
    margin: float = 0.02
    mistake: float = 0.001
    least_reviewed: int = 100
    """Notes of each arm, below which spreads cannot be known either."""
    limit: float = 0.25
    """Relative change that a guardrail lets pass."""
    guard_alpha: float = 0.001
    """Of a guardrail at the end."""
    harm_budget: float = 0.01
    guard_budget: float = 0.001

    def __post_init__(self) -> None:
        shares = (self.mistake, self.guard_alpha, self.harm_budget, self.guard_budget)
        if not 0 < self.least_hours <= self.longest_hours or self.margin <= 0 or self.limit < 0:
            raise ValueError("hours and margin must be positive, and the longest time no less than the least")
        if not all(0 < each < 0.5 for each in shares):
            raise ValueError("chances of a mistake must lie between 0 and 0.5")

    @property
    def target_error(self) -> float:
        """The standard error of the difference at which is decided."""
        return self.margin / quantile(1 - self.mistake)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CanaryEvidence:
    """``hours`` since the start; ``looked`` is that of the last decision that was a look."""

    hours: float
    production: Arm
    canary: Arm
    looked: Looked = NOT_LOOKED


def decide(evidence: CanaryEvidence, plan: CanaryPlan) -> Decision:
    """Promoted is who, after 24 hours and with enough evidence, has an F1 at least production's and keeps the
    guardrails."""
    production, canary = evidence.production, evidence.canary
    found = difference(production, canary)
    guards = guardrails(production, canary, plan.limit)
    information = _information(found, production, canary, plan)
    look = early_look(
        production,
        canary,
        found=found,
        guards=guards,
        hours=evidence.hours,
        information=information,
        looked=evidence.looked,
        budget=Budget(plan.harm_budget, plan.guard_budget, plan.longest_hours),
    )
    needed = needed_notes(found, canary, plan)
    figures = figures_of(production, canary, found, guards) | {
        "hours": round(evidence.hours, 2),
        "information": round(information, 4),
        "needed_of_canary": needed,
    }
    action, reasons = _verdict(evidence, plan, found, guards, information, look.alarms, needed)
    return Decision(action, reasons, figures, look.looked, look.is_look)


def needed_notes(found: Difference, canary: Arm, plan: CanaryPlan) -> int | None:
    """Reviewed notes of the canary that the decision needs, production having as many for each as now; null where it
    cannot be said yet."""
    if math.isinf(found.error) or not canary.reviewed:
        return None
    return max(plan.least_reviewed, math.ceil(canary.reviewed * (found.error / plan.target_error) ** 2))


def _information(found: Difference, production: Arm, canary: Arm, plan: CanaryPlan) -> float:
    """Share of what the decision needs, at most 1."""
    if math.isinf(found.error):
        return 0.0
    notes = min(production.reviewed, canary.reviewed) / plan.least_reviewed
    precision = (plan.target_error / found.error) ** 2 if found.error else math.inf
    return min(1.0, notes, precision)


def _verdict(
    evidence: CanaryEvidence,
    plan: CanaryPlan,
    found: Difference,
    guards: list[Guardrail],
    information: float,
    alarms: tuple[str, ...],
    needed: int | None,
) -> tuple[Action, tuple[str, ...]]:
    canary = evidence.canary
    have = f"{canary.reviewed} of {needed if needed is not None else f'at least {plan.least_reviewed}'} reviewed notes"
    have += f" ({canary.finished} finished)" if canary.finished > canary.reviewed else ""
    if alarms:
        return Action.ROLL_BACK, alarms
    if information < 1:
        if evidence.hours >= plan.longest_hours:
            return Action.ROLL_BACK, (f"missing evidence after {plan.longest_hours:g} hours: the canary has {have}",)
        return Action.WAIT, (f"the canary has {have}",)
    if evidence.hours < plan.least_hours:
        return Action.WAIT, (f"{evidence.hours:.1f} of {plan.least_hours:g} hours",)
    broken = tuple(f"out of bounds, {each}" for each in guards if each.is_broken(plan.guard_alpha))
    said = f"F1 {found.candidate:.4f} beside production's {found.control:.4f} ({100 * found.value:+.2f} points, "
    said += f"standard error {100 * found.error:.2f}) on {canary.reviewed} and {evidence.production.reviewed} notes"
    if found.value >= 0 and not broken:
        return Action.PROMOTE, (f"at least production's: {said}",)
    worse = (f"below production's: {said}",) if found.value < 0 else ()
    return Action.ROLL_BACK, (*worse, *broken)
