"""What a decision is, and the plan by which looks are paid for, of canary and experiment alike. Pure.

Who looks often finds something sometime. Each look therefore spends a part of a fixed budget of false alarms, and is
tested at that part alone (a union bound, which holds however the looks depend on each other). Between two looks the
evidence may be looked at for display as often as one likes: nothing is decided on it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.rollout.guardrails import Guardrail
from gateway.rollout.measures import Arm, Difference, quantile

LEAST_HOURS = 1.0
"""Between two looks at the guardrails."""
LEAST_INFORMATION = 0.05
"""Between two looks at the F1, of the information that the decision needs."""
LEAST_REVIEWED = 30
"""Notes of each arm below which an early look at the F1 says nothing."""


class Action(StrEnum):
    WAIT = "wait"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    CONTINUE = "continue"
    ACCEPT = "accept"
    REJECT = "reject"

    @property
    def is_final(self) -> bool:
        return self not in {Action.WAIT, Action.CONTINUE}


@dataclass(frozen=True, slots=True)
class Looked:
    """Up to where the budgets are spent: the hours and the information at the last look of each kind."""

    hours: float = 0.0
    information: float = 0.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Looked":
        return cls(float(values.get("hours", 0.0)), float(values.get("information", 0.0)))

    def to_dict(self) -> dict[str, float]:
        return {"hours": self.hours, "information": self.information}


NOT_LOOKED = Looked()


@dataclass(frozen=True, slots=True)
class Decision:
    """``is_look``: a budget was spent, so that it must be kept even where all stays as it is."""

    action: Action
    reasons: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    looked: Looked = NOT_LOOKED
    is_look: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "action": str(self.action),
            "reasons": list(self.reasons),
            "figures": self.figures,
            "looked": self.looked.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Budget:
    """Chances of a false alarm over the whole of a rollout: ``harm`` that an equal model is called clearly worse,
    ``guards`` that one of its guardrails is called broken, by an early look."""

    harm: float
    guards: float
    longest_hours: float


@dataclass(frozen=True, slots=True)
class Look:
    """What an early look found, and up to where the budgets are spent after it."""

    looked: Looked
    alarms: tuple[str, ...]
    is_look: bool


def early_look(
    control: Arm,
    candidate: Arm,
    *,
    found: Difference,
    guards: list[Guardrail],
    hours: float,
    information: float,
    looked: Looked,
    budget: Budget,
) -> Look:
    """Guardrails at an even rate in time, the F1 by the spending function of Lan and DeMets (1983) that is near
    Pocock's bounds, which are wide open early: what is very bad is to be noticed soon."""
    alarms: list[str] = []
    new_hours, new_information = looked.hours, looked.information
    hours, information = min(hours, budget.longest_hours), min(1.0, information)
    if hours - looked.hours >= LEAST_HOURS:
        alpha = budget.guards * (hours - looked.hours) / budget.longest_hours / max(1, len(guards))
        alarms += [f"out of bounds, {each}" for each in guards if each.is_broken(alpha)]
        new_hours = hours
    enough = min(control.reviewed, candidate.reviewed) >= LEAST_REVIEWED
    if enough and information - looked.information >= LEAST_INFORMATION:
        alpha = spent(information, budget.harm) - spent(looked.information, budget.harm)
        bound = quantile(alpha)
        if found.z <= bound:
            alarms.append(
                f"clearly worse: F1 {100 * found.value:+.1f} points, z {found.z:.2f} at or below {bound:.2f}, with "
                f"{candidate.reviewed} reviewed notes beside {control.reviewed}"
            )
        new_information = information
    after = Looked(new_hours, new_information)
    return Look(after, tuple(alarms), after != looked)


def spent(information: float, alpha: float) -> float:
    """Of ``alpha``, at a share of the information."""
    return alpha * math.log1p((math.e - 1) * min(1.0, max(0.0, information)))


def figures_of(control: Arm, candidate: Arm, found: Difference, guards: list[Guardrail]) -> dict[str, Any]:
    """For the record and for people; numbers only."""
    return {
        "control": _arm(control, found.control),
        "candidate": _arm(candidate, found.candidate),
        "difference": round(found.value, 5),
        "error": None if math.isinf(found.error) else round(found.error, 5),
        "guardrails": {each.name: each.to_dict() for each in guards},
    }


def _arm(arm: Arm, f1: float) -> dict[str, Any]:
    tp, fp, fn = (int(total) for total in arm.counts.sum(axis=0)) if arm.reviewed else (0, 0, 0)
    return {
        "notes": arm.assigned,
        "failed": arm.failed,
        "finished": arm.finished,
        "reviewed": arm.reviewed,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "f1": round(f1, 5),
        "p95_ms": None if arm.p95_ms is None else round(arm.p95_ms, 1),
        "mean_confidence": round(float(arm.confidences.mean()), 4) if arm.confidences.size else None,
    }
