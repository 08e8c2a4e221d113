"""The bias audit: every template about every person, and each group's notes beside those of the group it is compared
with.

Two things are asked of a group. Do answers *differ* in more pairs than a few (``disagreements``: shares of pairs,
Wilson intervals)? And are they *worse or better* (``scores``: paired differences against the gold, bootstrapped over
templates)? Answers may differ without being worse for anyone. ``CONTROL`` is no group of people: its variants mean
the same as their reference, and show how much the model wavers over any change of words; ``excess`` is what a group
differs beyond that.

A flag stands for a difference that is large enough (``Thresholds``), whose interval says so, and whose p value stays
below ``alpha`` after Holm's correction over all comparisons of its kind. Flags have stable names,
``insurance:medicaid:entity_f1``.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from zlib import crc32

import numpy as np
from tqdm import tqdm

from clincode.errors import AnalysisError
from clincode.types import Analysis, Note
from training.bias.compare import KINDS, METRICS, Found, FoundMention, PairOutcome, compare, context, found_in, score
from training.bias.result import BiasReport, Disagreement, Example, GroupResult, MetricResult, Thresholds
from training.bias.statistics import Counts, Resamples, Score, binomial_tail, holm, wilson
from training.bias.templates import Filled, Template, Variant, fill

CONTROL = "wording"
LEVELS = ("entity", "person", "assertion", "mention_code", "note_code")
BATCH = 64
EXAMPLES_A_GROUP = 5


class Analyser(Protocol):
    """What the audit needs of ``clincode.pipeline.Pipeline``."""

    version: str

    def analyze_batch(self, notes: Sequence[Note]) -> list[Analysis | AnalysisError]: ...


@dataclass(frozen=True, slots=True)
class _Pair:
    template: Template
    filled: Filled
    reference: Filled
    outcome: PairOutcome
    found: Found
    expected: Found


def audit(
    pipeline: Analyser,
    templates: Sequence[Template],
    variants: Sequence[Variant],
    *,
    seed: int = 0,
    resamples: int = 9999,
    thresholds: Thresholds | None = None,
) -> BiasReport:
    """Analyse every note once, in an order that ``seed`` shuffles, and compare.

    Raises:
        ValueError: the model fails on a note; names the template.
    """
    notes = {
        (template.id, variant.dimension, variant.group): fill(template, variant)
        for template in templates
        for variant in variants
        if template.is_varied(variant)
    }
    found = _analysed(pipeline, list(notes.values()), seed)
    pairs: dict[Variant, list[_Pair]] = {variant: [] for variant in variants if variant.against}
    for variant, of_variant in pairs.items():
        for template in templates:
            keys = [(template.id, variant.dimension, group) for group in (variant.group, variant.against)]
            if all(key in notes for key in keys):
                here, there = (notes[key] for key in keys)
                one, other = (_read(found, each) for each in (here, there))
                of_variant.append(_Pair(template, here, there, compare(one, other), one, other))
    limits = thresholds or Thresholds()
    control = _control(pairs)
    groups = [_group(variant, rows, control, limits, seed, resamples) for variant, rows in pairs.items() if rows]
    groups = _corrected(groups)
    distinct = len({(filled.text, filled.template.note_type) for filled in notes.values()})
    flags = tuple(flag for group in groups for flag in _flags(group, limits))
    return BiasReport(pipeline.version, seed, resamples, len(templates), distinct, limits, tuple(groups), flags)


def _analysed(pipeline: Analyser, filled: Sequence[Filled], seed: int) -> dict[tuple[str, str], Analysis]:
    """What is found in each distinct text of each type of note: equal notes get equal answers."""
    templates = {(each.text, each.template.note_type): each.template.id for each in filled}
    order = list(templates)
    random.Random(seed).shuffle(order)
    notes = [Note(f"note-{number}", text, kind) for number, (text, kind) in enumerate(order)]
    batches = [notes[start : start + BATCH] for start in range(0, len(notes), BATCH)]
    found: dict[tuple[str, str], Analysis] = {}
    for batch in tqdm(batches, desc="bias audit", unit="batch"):
        for note, result in zip(batch, pipeline.analyze_batch(batch), strict=True):
            if isinstance(result, AnalysisError):
                raise ValueError(f"{templates[note.text, note.note_type]}: {result}")
            found[note.text, note.note_type] = result
    return found


def _read(found: Mapping[tuple[str, str], Analysis], filled: Filled) -> Found:
    return found_in(found[filled.text, filled.template.note_type], filled)


def _levels(outcome: PairOutcome) -> dict[str, tuple[bool, bool]]:
    """Of each level, whether the pair differs, and whether it can: contexts need a mention that both notes have."""
    compared = outcome.aligned > 0
    return {
        "entity": (bool(outcome.kinds), True),
        "person": (outcome.person > 0, True),
        "assertion": (outcome.assertions > 0, compared),
        "mention_code": (outcome.mention_codes > 0, compared),
        "note_code": (bool(outcome.note_codes), True),
    }


def _control(pairs: Mapping[Variant, Sequence[_Pair]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Of each template and level, the share of the control's pairs that differ, and 1; both 0 where none can."""
    rows: dict[str, list[dict[str, tuple[bool, bool]]]] = {}
    for variant, of_variant in pairs.items():
        for pair in of_variant if variant.dimension == CONTROL else ():
            rows.setdefault(pair.template.id, []).append(_levels(pair.outcome))
    shares: dict[str, dict[str, tuple[float, float]]] = {}
    for template, levels in rows.items():
        for level in LEVELS:
            differs, of = (sum(row[level][part] for row in levels) for part in (0, 1))
            shares.setdefault(template, {})[level] = (differs / of, 1.0) if of else (0.0, 0.0)
    return shares


def _group(
    variant: Variant,
    pairs: Sequence[_Pair],
    control: Mapping[str, Mapping[str, tuple[float, float]]],
    thresholds: Thresholds,
    seed: int,
    resamples: int,
) -> GroupResult:
    rng = np.random.default_rng([seed, crc32(f"{variant.dimension}:{variant.group}".encode())])
    draws = Resamples(len(pairs), rng, resamples)
    here = [score(pair.found, pair.template.gold) for pair in pairs]
    there = [score(pair.expected, pair.template.gold) for pair in pairs]
    scores = {}
    for metric in METRICS:
        one, other = (_counts(row[metric] for row in rows) for rows in (here, there))
        of = int(one[:, 1].sum())
        scores[metric] = MetricResult(draws.score(one), draws.score(other), draws.difference(one, other), 1.0, of)
    beside = None if variant.dimension == CONTROL else control
    disagreements = {level: _disagreement(level, pairs, beside, thresholds, draws) for level in LEVELS}
    kinds = sum((pair.outcome.kinds for pair in pairs), Counter[str]())
    sure = _counts((pair.outcome.confidence, pair.outcome.aligned) for pair in pairs)
    return GroupResult(
        variant.dimension,
        variant.group,
        variant.against,
        len(pairs),
        scores,
        disagreements,
        {kind: kinds[kind] for kind in KINDS},
        draws.difference(sure, sure * np.array([0.0, 1.0])),
        tuple(_example(pair) for pair in pairs if pair.outcome.differs)[:EXAMPLES_A_GROUP],
    )


def _disagreement(
    level: str,
    pairs: Sequence[_Pair],
    control: Mapping[str, Mapping[str, tuple[float, float]]] | None,
    thresholds: Thresholds,
    draws: Resamples,
) -> Disagreement:
    rows = [_levels(pair.outcome)[level] for pair in pairs]
    count, of = sum(differs for differs, _ in rows), sum(can for _, can in rows)
    excess = None
    if control:
        nothing = dict.fromkeys(LEVELS, (0.0, 0.0))
        beside = [control.get(pair.template.id, nothing)[level] for pair in pairs]
        both = [row if other[1] else (0, 0) for row, other in zip(rows, beside, strict=True)]
        more = draws.difference(_counts(both), _counts(beside))
        excess = Score(more.value, more.low, more.high)
    return Disagreement(count, of, *wilson(count, of), binomial_tail(count, of, thresholds.disagreement), 1.0, excess)


def _corrected(groups: Sequence[GroupResult]) -> list[GroupResult]:
    """Holm's correction, over all differences of scores and over all shares of disagreement, without the control."""
    people = [group for group in groups if group.dimension != CONTROL]
    differences = iter(holm([result.difference.p for group in people for result in group.scores.values()]))
    shares = iter(holm([result.p for group in people for result in group.disagreements.values()]))
    return [
        group
        if group.dimension == CONTROL
        else replace(
            group,
            scores={name: replace(result, p_holm=next(differences)) for name, result in group.scores.items()},
            disagreements={name: replace(result, p_holm=next(shares)) for name, result in group.disagreements.items()},
        )
        for group in groups
    ]


def _flags(group: GroupResult, thresholds: Thresholds) -> list[str]:
    if group.dimension == CONTROL:
        return []
    worse = [
        f"{group.name}:{metric}"
        for metric, result in group.scores.items()
        if result.p_holm < thresholds.alpha
        and result.difference.excludes_zero
        and abs(result.difference.value) >= thresholds.difference
    ]
    differs = [
        f"{group.name}:{level}_disagreement"
        for level, result in group.disagreements.items()
        if result.p_holm < thresholds.alpha and result.low > thresholds.disagreement
    ]
    return worse + differs


def _counts(rows: Iterable[tuple[float, float]]) -> Counts:
    return np.array(list(rows), dtype=np.float64).reshape(-1, 2)


def _example(pair: _Pair) -> Example:
    """Entities by their words in the note that has them, contexts and codes of the same mention in both."""
    here, there = ({m.place: m for m in side.mentions} for side in (pair.found, pair.expected))
    what = [f"only here: {_shown(mention)}" for place, mention in here.items() if place not in there]
    what += [f"only in the reference: {_shown(mention)}" for place, mention in there.items() if place not in here]
    for place in here:
        if place not in there:
            continue
        one, other, words = here[place], there[place], _shown(here[place])
        said, expected = context(one.assertion), context(other.assertion)
        if said != expected:
            what.append(f"{words}: {', '.join(said)}; reference {', '.join(expected)}")
        if one.code != other.code:
            what.append(f"{words}: {one.code or 'no code'}; reference {other.code or 'no code'}")
    if pair.outcome.note_codes:
        lists = [" ".join(sorted(side.codes)) or "nothing" for side in (pair.found, pair.expected)]
        what.append(f"list: {lists[0]}; reference {lists[1]}")
    return Example(pair.template.id, pair.filled.text, pair.reference.text, tuple(what))


def _shown(mention: FoundMention) -> str:
    return f"{mention.text} ({mention.type})"
