"""Everything that a report on a model shows, as one JSON object: no text of the corpus is in it."""

import os
import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from clincode.labels import OUTSIDE, TAG_TO_TYPE, TYPE_TO_TAG, split_label
from clincode.pipeline import Pipeline
from clincode.types import Note, NoteType
from training.baseline import DictionaryTagger
from training.confusion import entity_confusion, token_confusion
from training.corpora import Guideline, TaggedSentence
from training.errors import KINDS, SEVERITIES, classify_errors
from training.evaluate_ner import Tagger, evaluate_tagger, score_tags
from training.rules import RuleTagger

GIGABYTE = 1e9


def ner_figures(
    predicted: Sequence[Sequence[str]], sentences: Sequence[TaggedSentence], guideline: Guideline
) -> dict[str, Any]:
    """``scores`` (as ``score_tags``), ``confusion`` (``entities``, ``words``) and ``errors``, by kind, type and
    severity."""
    tags = tuple(dict.fromkeys(guideline.tags.values()))
    kept = [[label if split_label(label)[1] in tags else OUTSIDE for label in row] for row in predicted]
    gold = [sentence.tags for sentence in sentences]
    return {
        "scores": score_tags(predicted, sentences, guideline),
        "confusion": {
            "entities": entity_confusion(gold, kept, tags).tolist(),
            "words": token_confusion(gold, kept, tags).tolist(),
        },
        "errors": _errors(sentences, kept, tags),
    }


def baseline_scores(
    learnt: Sequence[TaggedSentence], sentences: Sequence[TaggedSentence], guideline: Guideline
) -> dict[str, dict[str, Any]]:
    """Scores of the dictionary and of the rules that are made of what the model may learn from."""
    taggers: dict[str, Tagger] = {"dictionary": DictionaryTagger.train(learnt), "rules": RuleTagger.train(learnt)}
    return {name: evaluate_tagger(tagger, sentences, guideline) for name, tagger in taggers.items()}


def type_f1(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """F1 of each of the five types; None where the corpus has no such entity: nothing was measured."""
    per_type = scores["per_type"]
    names = [kind.value for kind in TYPE_TO_TAG]
    return {name: per_type[name]["f1"] if per_type.get(name, {}).get("n") else None for name in names}


def latency_figures(pipeline: Pipeline, texts: Sequence[str], *, runs: int = 100) -> dict[str, Any]:
    """Milliseconds of whole notes, one at a time, in this process: ``p50``, ``p95``, ``p99``, ``mean``, the ``bins``
    of a histogram, how many words the notes have, and the machine's ``load`` at the end, which says whether the times
    are those of the model alone. The texts are taken in turn; the first five are not counted."""
    times = []
    for number in tqdm(range(runs + 5), desc="latency", unit="note", leave=False):
        note = Note(f"latency-{number}", texts[number % len(texts)], NoteType.PROGRESS_NOTE)
        start = time.perf_counter()
        pipeline.analyze(note)
        times.append(1000 * (time.perf_counter() - start))
    counted = times[5:]
    heights, edges = np.histogram(counted, bins=20)
    return {
        **{f"p{p}": float(np.percentile(counted, p)) for p in (50, 95, 99)},
        "mean": float(np.mean(counted)),
        "runs": runs,
        "words": float(np.mean([len(text.split()) for text in texts])),
        "precision": pipeline.precision,
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        "bins": {"heights": heights.tolist(), "edges": edges.tolist()},
    }


def size_gb(folder: Path) -> float:
    """Of all files of a folder, in 10⁹ bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / GIGABYTE


def machine() -> str:
    """Cores and model of the processor, for figures that depend on them."""
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        names = []
    return f"{os.cpu_count()} cores of {names[0].strip() if names else platform.machine()}"


def _errors(
    sentences: Sequence[TaggedSentence], predicted: Sequence[Sequence[str]], tags: Iterable[str]
) -> dict[str, Any]:
    """``kinds`` and ``types`` → severity → number; an error is of the type that is annotated, else of the predicted."""
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    types: dict[str, Counter[str]] = {TAG_TO_TYPE[tag].value: Counter() for tag in tags}
    for sentence, row in zip(sentences, predicted, strict=True):
        for error in classify_errors(sentence.words, sentence.tags, row):
            span = error.gold or error.predicted
            severity = SEVERITIES[error.severity]
            kinds[error.kind][severity] += 1
            if span is not None:
                types[TAG_TO_TYPE[span.tag].value][severity] += 1
    names = list(SEVERITIES.values())
    return {
        "kinds": {kind: {name: count[name] for name in names} for kind, count in kinds.items()},
        "types": {kind: {name: count[name] for name in names} for kind, count in types.items()},
    }
