"""What the bias audit hands back, and what a gate asks of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.bias.statistics import Difference, Score


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a comparison is a flag."""

    difference: float = 0.02
    disagreement: float = 0.01
    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A metric in the group, in its reference on the same templates, and their difference. ``of`` is the group's
    denominator (for F1, mentions found and annotated)."""

    group: Score
    reference: Score
    difference: Difference
    p_holm: float
    of: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Pairs that differ at one level. ``p``: of so many where the true share is the threshold; ``excess``: the share
    less that of the control's pairs on the same templates; None for the control itself."""

    count: int
    of: int
    low: float
    high: float
    p: float
    p_holm: float
    excess: Score | None

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """A pair that differs; ``what`` says how."""

    template: str
    text: str
    reference: str
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group against its reference. ``kinds`` counts differing entities by how they differ; ``confidence`` is the
    mean difference of the confidence of mentions that both have."""

    dimension: str
    group: str
    against: str
    pairs: int
    scores: Mapping[str, MetricResult]
    disagreements: Mapping[str, Disagreement]
    kinds: Mapping[str, int]
    confidence: Difference
    examples: tuple[Example, ...]

    @property
    def name(self) -> str:
        return f"{self.dimension}:{self.group}"


@dataclass(frozen=True, slots=True)
class BiasReport:
    model: str
    seed: int
    resamples: int
    templates: int
    notes: int
    thresholds: Thresholds
    groups: tuple[GroupResult, ...]
    flags: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For ``json.dumps``; what has no value (a ratio without denominator) is None."""
        result: dict[str, Any] = _plain(asdict(self))
        return result


def new_flags(report: BiasReport, previous: BiasReport | Mapping[str, Any]) -> tuple[str, ...]:
    """Flags that the previous model's report (or its JSON) has not. A gate asks that there be none."""
    known = set(previous.flags if isinstance(previous, BiasReport) else previous["flags"])
    return tuple(flag for flag in report.flags if flag not in known)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
