"""When the candidate of an A/B experiment is accepted, rejected, or has to go on. Pure; ``docs/rollout.md`` says why.

The primary test is made once: at the first look at which there are whole weeks and as many reviewed notes of each
variant as the power asks for. How many that is follows from the spread of the notes, not from their difference, so
waiting for them makes no false alarms.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from gateway.rollout.decision import NOT_LOOKED, Action, Budget, Decision, Look, Looked, early_look, figures_of
from gateway.rollout.guardrails import Guardrail, guardrails, share_p
from gateway.rollout.measures import Arm, Difference, difference, permutation_p, sample_size

WEEK = 7


@dataclass(frozen=True, slots=True)
class AbPlan:
    """``difference`` of F1 is found with ``power`` by a two-sided test at ``alpha``.

    Raises:
        ValueError: a figure does not make sense.
    """

    least_notes: int = 1000
    """Reviewed, of each variant."""
    least_weeks: int = 1
    longest_weeks: int = 8
    difference: float = 0.02
    alpha: float = 0.05
    power: float = 0.999
    limit: float = 0.10
    """Relative change that a guardrail lets pass."""
    guard_alpha: float = 0.001
    """Of a guardrail at the end."""
    harm_budget: float = 0.01
    guard_budget: float = 0.001
    permutations: int = 9999

    def __post_init__(self) -> None:
        shares = (self.alpha, self.guard_alpha, self.harm_budget, self.guard_budget)
        if not 1 <= self.least_weeks <= self.longest_weeks or self.difference <= 0 or self.limit < 0:
            raise ValueError("weeks and difference must be positive, and the longest time no less than the least")
        if not all(0 < each < 0.5 for each in shares) or not 0.5 <= self.power < 1:
            raise ValueError("chances of a mistake must lie between 0 and 0.5, the power between 0.5 and 1")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AbEvidence:
    """Notes up to now, for alarms, and those of the whole weeks that are over, for the test: a week has its weekend.

    ``share`` of the notes go to the candidate."""

    days: float
    control: Arm
    candidate: Arm
    whole_weeks: tuple[Arm, Arm]
    """Control and candidate."""
    share: float = 0.5
    looked: Looked = NOT_LOOKED

    @property
    def weeks(self) -> int:
        return int(self.days // WEEK)


def decide(evidence: AbEvidence, plan: AbPlan, *, seed: int = 0) -> Decision:
    """Accepted is a candidate whose F1 is significantly higher, with all guardrails kept; ``seed`` is the test's."""
    now, guards = _measured(evidence.control, evidence.candidate, plan)
    needed = needed_notes(now, plan)
    have = min(evidence.control.reviewed, evidence.candidate.reviewed)
    look = early_look(
        evidence.control,
        evidence.candidate,
        found=now,
        guards=guards,
        hours=24 * evidence.days,
        information=have / needed if needed else 0.0,
        looked=evidence.looked,
        budget=Budget(plan.harm_budget, plan.guard_budget, 24 * WEEK * plan.longest_weeks),
    )
    figures = figures_of(evidence.control, evidence.candidate, now, guards)
    figures |= {"days": round(evidence.days, 2), "weeks": evidence.weeks, "needed_of_each": needed}
    if needed:
        figures["needed_for_80_percent"] = needed_notes(now, plan, power=0.8)
    if look.alarms:
        return _decision(Action.REJECT, look.alarms, figures, look)
    if (waits := _waits_for(evidence, plan)) is not None:
        return _decision(waits[0], (waits[1],), figures, look)
    return _tested(evidence, plan, figures, look, seed)


def needed_notes(found: Difference, plan: AbPlan, *, power: float | None = None) -> int | None:
    """Reviewed notes of each variant; null where it cannot be said yet."""
    if math.isinf(found.error):
        return None
    sd = math.sqrt((found.control_sd**2 + found.candidate_sd**2) / 2)
    return max(plan.least_notes, sample_size(sd, plan.difference, alpha=plan.alpha, power=power or plan.power))


def _measured(control: Arm, candidate: Arm, plan: AbPlan) -> tuple[Difference, list[Guardrail]]:
    return difference(control, candidate), guardrails(control, candidate, plan.limit)


def _waits_for(evidence: AbEvidence, plan: AbPlan) -> tuple[Action, str] | None:
    """What is missing for the test, and what follows; null where nothing is."""
    weeks, (control, candidate) = evidence.weeks, evidence.whole_weeks
    needed = needed_notes(difference(control, candidate), plan) or plan.least_notes
    have = min(control.reviewed, candidate.reviewed)
    if weeks >= plan.least_weeks and have >= needed:
        return None
    said = f"{control.reviewed} and {candidate.reviewed} of {needed} reviewed notes in {weeks} whole weeks"
    if weeks >= plan.longest_weeks:
        return Action.REJECT, f"missing evidence after {plan.longest_weeks} weeks: {said}"
    return Action.CONTINUE, said


def _tested(evidence: AbEvidence, plan: AbPlan, figures: dict[str, Any], look: Look, seed: int) -> Decision:
    control, candidate = evidence.whole_weeks
    found, guards = _measured(control, candidate, plan)
    p = permutation_p(control.counts, candidate.counts, permutations=plan.permutations, seed=seed)
    p_share = share_p(control, candidate, evidence.share)
    figures = figures | figures_of(control, candidate, found, guards) | {"p": round(p, 5), "p_share": round(p_share, 6)}
    said = f"F1 {found.candidate:.4f} beside control's {found.control:.4f} ({100 * found.value:+.2f} points, p {p:.4f} "
    said += f"of a two-sided permutation test) on {candidate.reviewed} and {control.reviewed} notes"
    faults = [f"out of bounds, {each}" for each in guards if each.is_broken(plan.guard_alpha)]
    if p_share < plan.guard_alpha:
        faults.append(f"notes are not shared out as planned (p {p_share:.2g}): those of a variant get lost")
    if found.value > 0 and p < plan.alpha and not faults:
        return _decision(Action.ACCEPT, (f"significantly better: {said}",), figures, look)
    if found.value > 0 and p < plan.alpha:
        return _decision(Action.REJECT, (*faults, f"better, but: {said}"), figures, look)
    return _decision(Action.REJECT, (f"not significantly better: {said}", *faults), figures, look)


def _decision(action: Action, reasons: tuple[str, ...], figures: dict[str, Any], look: Look) -> Decision:
    return Decision(action, reasons, figures, look.looked, look.is_look)
