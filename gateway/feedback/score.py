"""Suggestions against what coders made of them. Pure: from examples of ``export``, of the database or of a file.

A coder must decide every code before a note is finished, but no entity. Entities are therefore scored twice:
``entities`` takes one that nobody decided for seen and right, ``entities_decided`` leaves it out. The first is too kind
where coders look at codes alone, the second too strict where they mark only what is wrong; the truth lies between.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gateway.feedback.export import UNREVIEWED
from gateway.feedback.intervals import Counts, bootstrap_f1, f1, prf, share
from gateway.review.decisions import ENTITY_TYPES

ENOUGH_NOTES = 30
"""Below it the figures say little."""
SCOPES = ("all", "decided")
LEVELS = ("code", "category")
CONTEXT = ("negation", "certainty", "temporality", "experiencer")
_SETS = ("correct", "predicted", "gold")
_Place = tuple[int, int, str]


_KEYS: tuple[Hashable, ...] = (
    *((scope, kind, name) for scope in SCOPES for kind in ENTITY_TYPES for name in _SETS),
    *((level, name) for level in LEVELS for name in _SETS),
    *((scope, name) for scope in SCOPES for name in ("standing", *CONTEXT)),
    *((scope, "relaxed", name) for scope in SCOPES for name in ("predicted", "gold")),
    *(("verdict", name) for name in ("accepted", "replaced", "rejected", "added")),
    *(("top1", name) for name in ("correct", "n")),
    "undecided",
)
_COLUMN = {key: column for column, key in enumerate(_KEYS)}


@dataclass(frozen=True, slots=True)
class Tally:
    """What one note adds to the figures: numbers alone."""

    note_id: str
    model_version: str
    route: str
    finished_at: datetime | None
    counts: Counts


def tally(example: Mapping[str, Any]) -> Tally:
    """Raises KeyError, TypeError or ValueError where it is no example of ``export``."""
    counts: Counter[Hashable] = Counter()
    suggested = example["entities_suggested"]
    final = [*example["entities"], *example["entities_overlapping"]]
    decided = [[e for e in each if e["verdict"] != UNREVIEWED] for each in (suggested, final)]
    _count_entities(counts, "all", suggested, final)
    _count_entities(counts, "decided", *decided)
    counts["undecided"] = len(suggested) - len(decided[0])
    _count_codes(counts, example)
    finished_at = datetime.fromisoformat(example["finished_at"]) if example["finished_at"] else None
    names = example["model_version"] or "unknown", example["route"] or "unknown"
    return Tally(str(example["id"]), *names, finished_at, np.array([counts[key] for key in _KEYS], dtype=np.int64))


def entity_counts(note: Tally, *, scope: str = "all") -> tuple[int, int, int]:
    """Correct, predicted and gold entities of a note, over all types."""
    correct, predicted, gold = (
        sum(int(note.counts[_COLUMN[scope, kind, name]]) for kind in ENTITY_TYPES) for name in _SETS
    )
    return correct, predicted, gold


def undecided(note: Tally) -> int:
    """Suggested entities of a note that nobody decided; 0 of one that was reviewed whole."""
    return int(note.counts[_COLUMN["undecided"]])


def read_export(path: Path) -> Iterator[Tally]:
    """Of a file that ``clincode feedback export`` wrote.

    Raises:
        ValueError: names the line that is none of it; nothing is quoted.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield tally(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise ValueError(f"{path}:{number}: not a line of 'clincode feedback export'") from None


def score(tallies: Iterable[Tally]) -> dict[str, Any]:
    """Figures over the finished notes, and the same by model version and by route; names as ``clincode evaluate`` has
    them. Intervals are of 95%: of F1 by bootstrap over notes, of shares by Wilson."""
    notes = [each for each in tallies if each.finished_at is not None]
    by_version: defaultdict[str, list[Tally]] = defaultdict(list)
    by_route: defaultdict[str, list[Tally]] = defaultdict(list)
    for each in notes:
        by_version[each.model_version].append(each)
        by_route[each.route].append(each)
    return {
        **_figures(notes),
        "by_model_version": {name: _figures(each) for name, each in sorted(by_version.items())},
        "by_route": {name: _figures(each) for name, each in sorted(by_route.items())},
    }


# -- one note --


def _count_entities(
    counts: Counter[Hashable], scope: str, suggested: Sequence[Mapping[str, Any]], final: Sequence[Mapping[str, Any]]
) -> None:
    predicted, gold = {_place(each) for each in suggested}, {_place(each) for each in final}
    for name, places in zip(_SETS, (predicted & gold, predicted, gold), strict=True):
        counts.update((scope, kind, name) for _, _, kind in places)
    counts[scope, "relaxed", "predicted"] = sum(_overlaps(each, gold) for each in predicted)
    counts[scope, "relaxed", "gold"] = sum(_overlaps(each, predicted) for each in gold)
    after = {each["key"]: each for each in final}
    for before in suggested:
        now = after.get(before["key"])
        if now is None:
            continue
        counts[scope, "standing"] += 1
        counts[scope, "negation"] += (before["certainty"] == "negated") == (now["certainty"] == "negated")
        for name in CONTEXT[1:]:
            counts[scope, name] += before[name] == now[name]


def _place(entity: Mapping[str, Any]) -> _Place:
    kind = entity["type"]
    if kind not in ENTITY_TYPES:
        raise ValueError("unknown type")
    return int(entity["start"]), int(entity["end"]), kind


def _overlaps(one: _Place, others: Iterable[_Place]) -> bool:
    return any(one[2] == kind and one[0] < end and start < one[1] for start, end, kind in others)


def _count_codes(counts: Counter[Hashable], example: Mapping[str, Any]) -> None:
    suggested = [each["code"] for each in example["codes_suggested"]]
    final = [each["code"] for each in example["codes"]]
    for level in LEVELS:
        predicted, gold = ({_at(level, code) for code in codes} for codes in (suggested, final))
        for name, codes in zip(_SETS, (predicted & gold, predicted, gold), strict=True):
            counts[level, name] = len(codes)
    counts.update(("verdict", each["verdict"]) for each in example["codes_suggested"])
    counts["verdict", "added"] += len(example["codes_added"])
    if suggested:
        counts["top1", "n"], counts["top1", "correct"] = 1, int(suggested[0] in final)


def _at(level: str, code: str) -> str:
    return code.partition(".")[0] if level == "category" else code


# -- all notes --


def _figures(notes: Sequence[Tally]) -> dict[str, Any]:
    matrix = np.stack([note.counts for note in notes]) if notes else np.zeros((0, len(_KEYS)), dtype=np.int64)
    rows: dict[Hashable, Counts] = {
        key: matrix[:, [_COLUMN[*key, name] for name in _SETS]]
        for key in (*((scope, kind) for scope in SCOPES for kind in ENTITY_TYPES), *((level,) for level in LEVELS))
    }
    for scope in SCOPES:
        rows[scope, "micro"] = np.sum([rows[scope, kind] for kind in ENTITY_TYPES], axis=0)
    intervals = bootstrap_f1(np.stack(list(rows.values()), axis=1))
    scored = {}
    for (key, row), interval in zip(rows.items(), intervals, strict=True):
        correct, predicted, gold = map(int, row.sum(axis=0))
        scored[key] = {**prf(correct, predicted, gold), "interval": interval, "n": gold, "predicted": predicted}
    counts = dict(zip(_KEYS, map(int, matrix.sum(axis=0)), strict=True))
    return {
        "notes": len(notes),
        "is_weak": len(notes) < ENOUGH_NOTES,
        "entities": {**_entities("all", scored, counts), "undecided": counts["undecided"]},
        "entities_decided": _entities("decided", scored, counts),
        "codes": _codes(scored, counts),
    }


def _entities(scope: str, scored: Mapping[Hashable, dict[str, Any]], counts: Mapping[Hashable, int]) -> dict[str, Any]:
    micro = scored[scope, "micro"]
    found, gold = counts[scope, "relaxed", "predicted"], counts[scope, "relaxed", "gold"]
    precision = found / micro["predicted"] if micro["predicted"] else 0.0
    recall = gold / micro["n"] if micro["n"] else 0.0
    return {
        "micro": micro,
        "per_type": {kind: scored[scope, kind] for kind in ENTITY_TYPES},
        "n": micro["n"],
        "relaxed": {"precision": precision, "recall": recall, "f1": f1(precision, recall)},
        "context": {name: share(counts[scope, name], counts[scope, "standing"]) for name in CONTEXT},
    }


def _codes(scored: Mapping[Hashable, dict[str, Any]], counts: Mapping[Hashable, int]) -> dict[str, Any]:
    verdicts = {name: counts["verdict", name] for name in ("accepted", "replaced", "rejected")}
    accepted = share(verdicts["accepted"], sum(verdicts.values()), "share")
    return {
        "accepted": {**accepted, **verdicts, "added": counts["verdict", "added"]},
        **{level: scored[level,] for level in LEVELS},
        "top1": share(counts["top1", "correct"], counts["top1", "n"]),
    }
