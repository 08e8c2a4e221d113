"""Is the model as right as it was? Weekly F1 of reviewed predictions, from what ``clincode feedback score`` writes.

Pure. The limits are on the figure itself. The interval says how far it can be trusted, and is reported beside it: where
its upper end is below the limit too, chance is no explanation (``is_sure``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

ALERT_BELOW = 0.83
RETRAIN_BELOW = 0.80
RETRAIN_AFTER = 2
"""Judged weeks in a row below ``RETRAIN_BELOW``."""
LEAST_PREDICTIONS = 200
"""Fewer reviewed in a week say too little to be judged."""
Scope = Literal["entities", "entities_decided"]
Verdict = Literal["too_few", "ok", "alert", "retrain"]


@dataclass(frozen=True, slots=True, order=True)
class LabelWeek:
    """A week's score; ``week`` as in 2026-W48, so that order by name is order in time."""

    week: str
    f1: float
    low: float
    high: float
    predictions: int

    @property
    def is_judged(self) -> bool:
        return self.predictions >= LEAST_PREDICTIONS


@dataclass(frozen=True, slots=True)
class LabelDrift:
    """What the last judged week says. ``since`` is the first week of the run that gave the verdict."""

    verdict: Verdict
    latest: LabelWeek | None
    limit: float
    since: str | None = None
    is_sure: bool = False


def label_week(week: str, figures: Mapping[str, Any], scope: Scope = "entities_decided") -> LabelWeek:
    """Of the JSON of ``clincode feedback score``. ``entities_decided`` counts what a coder decided on, which is what
    reviewed means; of notes that were reviewed whole ``entities`` says the same.

    Raises:
        ValueError: it is no such JSON.
    """
    try:
        micro = figures[scope]["micro"]
        predictions = int(micro["predicted"])
        low, high = micro["interval"] or (0.0, 1.0)  # too few for an interval: anything is possible
        return LabelWeek(week, float(micro["f1"] or 0.0), float(low), float(high), predictions)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ValueError(f"{week}: not figures of 'clincode feedback score --json'") from None


def judge(weeks: Iterable[LabelWeek]) -> LabelDrift:
    """Weeks with too few reviewed predictions are passed over: they neither raise an alert nor end one."""
    every = sorted(weeks)
    judged = [week for week in every if week.is_judged]
    if not judged:
        return LabelDrift("too_few", every[-1] if every else None, ALERT_BELOW)
    latest = judged[-1]
    lowest = _run(judged, RETRAIN_BELOW)
    if len(lowest) >= RETRAIN_AFTER:
        is_sure = all(week.high < RETRAIN_BELOW for week in lowest[-RETRAIN_AFTER:])
        return LabelDrift("retrain", latest, RETRAIN_BELOW, lowest[0].week, is_sure)
    if low := _run(judged, ALERT_BELOW):
        return LabelDrift("alert", latest, ALERT_BELOW, low[0].week, latest.high < ALERT_BELOW)
    return LabelDrift("ok", latest, ALERT_BELOW)


def _run(weeks: list[LabelWeek], limit: float) -> list[LabelWeek]:
    """The last weeks in a row with less than ``limit``."""
    start = len(weeks)
    while start and weeks[start - 1].f1 < limit:
        start -= 1
    return weeks[start:]
