"""How often the drift monitor is wrong where nothing has drifted, and how soon it sees what has, on real text.

    .venv/bin/python scripts/drift_simulation.py --data ../shared/data --cache FOLDER [--part words --part types …]

Texts are of the corpora's train parts. No corpus has 10,000 notes: windows are drawn with replacement, from notes that
the reference was not learnt from. The model's answers to a few hundred notes are kept in --cache, and so are the masked
texts; results go to docs/drift-simulation.json (a part that is not run keeps what stands there) and the picture beside
it.
"""

import json
import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import drift_texts as texts_of
import numpy as np
import numpy.typing as npt
import typer
from drift_figures import draw_figures
from drift_memory import memory
from tqdm import tqdm

from monitoring.drift.labels import LabelWeek, judge
from monitoring.drift.monitor import LEAST_WINDOW, Limits
from monitoring.drift.types import TYPES, TypeMoments, compare_types
from monitoring.drift.words import BUCKETS, WINDOW_NOTES, Vocabulary, WordLearner, WordWindow, divergence

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "drift-simulation.json"
PARTS = ("words", "types", "labels", "memory")
MIXES = (0.1, 0.25, 0.5, 1.0)
TRAIN_NOTES = {"codiesp": 500}
"""Of its texts are the train part, which come first; the others are its background."""
ANSWERED = {"codiesp": 400, "bc5cdr": 200, "aci_bench": 67}
SPLITS, WINDOWS = 20, 50
STREAMS = 10
CHECK_EVERY = 100
TESTS = 2000
Matrix = npt.NDArray[np.int64]


@dataclass
class Corpora:
    """Masked texts and answers, from the cache where they are there."""

    data: Path
    cache: Path

    def texts(self, name: str) -> list[str]:
        kept = self.cache / f"masked-{name}.json"
        if not kept.is_file():
            read: Callable[[Path], list[str]] = getattr(texts_of, name)
            kept.write_text(json.dumps(texts_of.as_stored(read(self.data), name)), encoding="utf-8")
        found: list[str] = json.loads(kept.read_text(encoding="utf-8"))
        return found

    def answers(self, name: str) -> list[Any]:
        """Of the corpus's first notes in an order of chance."""
        read: Callable[[Path], list[str]] = getattr(texts_of, name)
        texts = read(self.data)[: TRAIN_NOTES.get(name)]
        random.Random(13).shuffle(texts)
        return list(texts_of.model_answers(texts[: ANSWERED[name]], self.cache / f"answers-{name}.jsonl"))

    def type_counts(self, name: str) -> Matrix:
        found = np.zeros((ANSWERED[name], len(TYPES)), dtype=np.int64)
        for row, answer in zip(found, self.answers(name), strict=True):
            for entity in answer["entities"]:
                row[TYPES.index(entity["type"])] += 1
        return found


# -- words --


def words(corpora: Corpora) -> dict[str, Any]:
    draw = np.random.default_rng(17)
    home = corpora.texts("codiesp")
    away = {name: corpora.texts(name) for name in ("bc5cdr", "aci_bench", "maccrobat")}
    calm: dict[int, list[float]] = {WINDOW_NOTES: [], LEAST_WINDOW: []}
    far: dict[str, list[float]] = {name: [] for name in away}
    for _ in tqdm(range(SPLITS), desc="splits"):
        reference, rest = _split(home, draw)
        table = _table(reference.vocabulary, rest)
        for size, found in calm.items():
            found += [divergence(window, reference.counts) for window in _windows(table, size, WINDOWS, draw)]
        for name, texts in away.items():
            (window,) = _windows(_table(reference.vocabulary, texts), WINDOW_NOTES, 1, draw)
            far[name].append(divergence(window, reference.counts))
    ninety_nine = float(np.quantile(calm[WINDOW_NOTES], 0.99))
    reference, rest = _split(home, draw)
    streams = [
        _streams(reference, rest, away[name], name, mix, ninety_nine, draw)
        for name in tqdm(("bc5cdr", "aci_bench"), desc="streams")
        for mix in MIXES
    ]
    limit = Limits().word_kl
    return {
        "notes": {"codiesp": len(home), **{name: len(texts) for name, texts in away.items()}},
        "splits": SPLITS,
        "windows": SPLITS * WINDOWS,
        "limit": limit,
        "no_drift": {
            str(size): {
                "mean": float(np.mean(found)),
                "q99": float(np.quantile(found, 0.99)),
                "max": float(np.max(found)),
                "false_alarms": float(np.mean(np.array(found) > limit)),
            }
            for size, found in calm.items()
        },
        "no_drift_values": [round(value, 5) for value in calm[WINDOW_NOTES]],
        "other_text": {name: {"mean": float(np.mean(v)), "min": float(np.min(v))} for name, v in far.items()},
        "streams": streams,
    }


def _split(texts: Sequence[str], draw: np.random.Generator) -> tuple[Any, list[str]]:
    """A reference of one half, and the other half."""
    order = draw.permutation(len(texts))
    learner = WordLearner()
    for number in order[: len(order) // 2]:
        learner.add(texts[number])
    return learner.learnt(), [texts[number] for number in order[len(order) // 2 :]]


def _table(vocabulary: Vocabulary, texts: Sequence[str]) -> Matrix:
    table = np.zeros((len(texts), vocabulary.size), dtype=np.int64)
    for row, text in zip(table, texts, strict=True):
        columns, numbers = vocabulary.count(text)
        row[columns] = numbers
    return table


def _windows(table: Matrix, notes: int, number: int, draw: np.random.Generator) -> Matrix:
    """The counts of ``number`` windows of notes drawn with replacement."""
    times = np.stack([np.bincount(draw.integers(len(table), size=notes), minlength=len(table)) for _ in range(number)])
    drawn: Matrix = (times.astype(np.float64) @ table.astype(np.float64)).round().astype(np.int64)
    return drawn


def _streams(
    reference: Any,
    home: Sequence[str],
    away: Sequence[str],
    name: str,
    mix: float,
    limit_of_one_percent: float,
    draw: np.random.Generator,
) -> dict[str, Any]:
    """A window full of the old notes, and then two windows' worth in which a share is of the other kind."""
    vocabulary = reference.vocabulary
    counts = [[vocabulary.count(text) for text in texts] for texts in (home, away)]
    limits = {"limit": Limits().word_kl, "limit_1_percent": limit_of_one_percent}
    delays: dict[str, list[int | None]] = {key: [] for key in limits}
    curves = []
    for _ in range(STREAMS):
        window = WordWindow(reference)
        for number in draw.integers(len(home), size=WINDOW_NOTES):
            window.add_counts(*counts[0][number])
        curve = []
        for at in range(2 * WINDOW_NOTES):
            kind = counts[int(draw.random() < mix)]
            window.add_counts(*kind[draw.integers(len(kind))])
            if (at + 1) % CHECK_EVERY == 0:
                curve.append(window.divergence() or 0.0)
        for key, limit in limits.items():
            beyond = np.flatnonzero(np.array(curve) > limit)
            delays[key].append(int(beyond[0] + 1) * CHECK_EVERY if len(beyond) else None)
        curves.append(curve)
    return {
        "to": name,
        "mix": mix,
        "full_window_kl": float(np.mean([curve[WINDOW_NOTES // CHECK_EVERY - 1] for curve in curves])),
        "delays": {key: _delays(found) for key, found in delays.items()},
        "curve": [round(float(value), 5) for value in np.mean(curves, axis=0)],
    }


def _delays(found: Sequence[int | None]) -> dict[str, Any]:
    seen = [each for each in found if each is not None]
    return {
        "seen": len(seen) / len(found),
        "within_a_window": sum(each <= WINDOW_NOTES for each in seen) / len(found),
        "median": float(np.median(seen)) if seen else None,
        "longest": max(seen, default=None),
    }


# -- types --


def types(corpora: Corpora) -> dict[str, Any]:
    draw = np.random.default_rng(19)
    counts = {name: corpora.type_counts(name).astype(np.float64) for name in ANSWERED}
    home = counts["codiesp"]
    calm = []
    for reference_notes, week_notes in ((400, 200), (400, 1000), (2000, 200), (2000, 1000), (2000, 5000)):
        tests = [
            compare_types(_moments(home, week_notes, draw), _moments(home, reference_notes, draw))
            for _ in tqdm(range(TESTS), desc=f"{reference_notes} and {week_notes}", leave=False)
        ]
        calm.append({"reference_notes": reference_notes, "week_notes": week_notes, **_alarms(tests)})
    halves = []
    for _ in range(TESTS):  # different notes on both sides, none twice
        order = draw.permutation(len(home))
        one, other = TypeMoments(), TypeMoments()
        one.add_counts(home[order[: len(home) // 2]])
        other.add_counts(home[order[len(home) // 2 :]])
        halves.append(compare_types(one, other))
    shifts = []
    for name in ("bc5cdr", "aci_bench"):
        for mix in MIXES:
            tests = []
            for _ in range(200):
                week = _moments(home, round(1000 * (1 - mix)), draw)
                week += _moments(counts[name], round(1000 * mix), draw)
                tests.append(compare_types(week, _moments(home, 2000, draw)))
            found = [test for test in tests if test is not None]
            shifts.append(
                {
                    "to": name,
                    "mix": mix,
                    "alerts": float(np.mean([test.p < Limits().type_p for test in found])),
                    "cramers_v": float(np.mean([test.cramers_v for test in found])),
                }
            )
    return {
        "answered_notes": ANSWERED,
        "tests": TESTS,
        "limit": Limits().type_p,
        "shares": {name: _shares(found) for name, found in counts.items()},
        "no_drift": calm,
        "no_drift_halves": _alarms(halves),
        "shift": shifts,
        "p_quantiles": _quantiles(halves),
    }


def _moments(counts: npt.NDArray[np.float64], notes: int, draw: np.random.Generator) -> TypeMoments:
    moments = TypeMoments()
    if notes:
        moments.add_counts(counts[draw.integers(len(counts), size=notes)])
    return moments


def _alarms(tests: Sequence[Any]) -> dict[str, float]:
    found = [test for test in tests if test is not None]
    return {
        "false_alarms": float(np.mean([test.p < Limits().type_p for test in found])),
        "false_alarms_at_5_percent": float(np.mean([test.p < 0.05 for test in found])),
        "false_alarms_uncorrected": float(np.mean([test.p_uncorrected < Limits().type_p for test in found])),
        "design_effect": float(np.mean([test.design_effect for test in found])),
        "cramers_v": float(np.mean([test.cramers_v for test in found])),
    }


def _quantiles(tests: Sequence[Any]) -> dict[str, list[float]]:
    at = np.linspace(0, 1, 101)
    found = [test for test in tests if test is not None]
    return {name: np.quantile([getattr(t, name) for t in found], at).tolist() for name in ("p", "p_uncorrected")}


def _shares(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(TYPES, (counts.sum(axis=0) / counts.sum()).tolist(), strict=True))


# -- labels --


def labels(_: Corpora) -> dict[str, Any]:
    """52 weeks of 200 reviewed predictions each, each right with the same chance, as many missed as wrong."""
    draw = np.random.default_rng(23)
    years = 2000
    found = []
    for true_f1 in (0.90, 0.87, 0.85, 0.83, 0.80, 0.78, 0.75):
        scores = 2 * draw.binomial(200, true_f1, size=(years, 52)) / 400
        verdicts = [
            [judge(_weeks(year[: week + 1][-2:])).verdict for week in range(52)]
            for year in tqdm(scores[:200], desc=f"F1 {true_f1}", leave=False)
        ]
        alerts = np.array([[verdict != "ok" for verdict in year] for year in verdicts])
        retrains = np.array([[verdict == "retrain" for verdict in year] for year in verdicts])
        found.append(
            {
                "true_f1": true_f1,
                "alert_a_week": float(alerts.mean()),
                "retrain_in_a_year": float(retrains.any(axis=1).mean()),
                "median_weeks_to_retrain": float(np.median([y.argmax() + 1 if y.any() else 53 for y in retrains])),
            }
        )
    return {"weeks": 52, "years": 200, "predictions": 200, "by_true_f1": found}


def _weeks(scores: npt.NDArray[np.float64]) -> list[LabelWeek]:
    return [LabelWeek(f"2026-W{at:02}", float(score), 0.0, 1.0, 200) for at, score in enumerate(scores, 1)]


def main(
    data: Annotated[Path, typer.Option(help="the folder of the corpora")],
    cache: Annotated[Path, typer.Option(help="a folder outside of the project, for answers and masked texts")],
    part: Annotated[list[str] | None, typer.Option(help="one of words, types, labels, memory; default: all")] = None,
    notes: Annotated[int, typer.Option(help="of the part memory")] = 1_000_000,
    out: Annotated[Path, typer.Option(help="results; the picture stands beside it")] = OUT,
) -> None:
    """Measure, and write the results."""
    cache.mkdir(parents=True, exist_ok=True)
    corpora = Corpora(data, cache)
    results: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "words": lambda: words(corpora),
        "types": lambda: types(corpora),
        "labels": lambda: labels(corpora),
        "memory": lambda: memory(corpora.texts("codiesp"), corpora.answers("codiesp"), notes),
    }
    for name in part or PARTS:
        start = time.monotonic()
        results[name] = {
            **run[name](),
            "made": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_implementation()} "
            f"{platform.python_version()}",
            "seconds": round(time.monotonic() - start),
        }
        out.write_text(json.dumps({"window": {"notes": WINDOW_NOTES, "buckets": BUCKETS}, **results}) + "\n", "utf-8")
    if all(name in results for name in PARTS):
        draw_figures(results, out.with_suffix(".png"), mixes=MIXES, check_every=CHECK_EVERY)


if __name__ == "__main__":
    typer.run(main)
