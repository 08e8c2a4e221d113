#!/usr/bin/env python
"""How much a model's F1 differs between notes, beyond chance: what the simulation of rollouts takes for its notes.

  .venv/bin/python scripts/note_spread.py --data "$DATA/maccrobat/devel.iob2.tsv" --notes "$DATA/maccrobat/devel"

Sentences of the tagged file are given back to the note (a .txt of the folder) that has their words.
"""

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from cli.evaluate import model_tagger, read_corpus
from gateway.rollout.measures import f1_of
from training.scoring import entity_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    notes = {path.stem: "".join(path.read_text(encoding="utf-8").split()) for path in options.notes.glob("*.txt")}
    _, sentences = read_corpus(options.data, "iob2", "clincode")
    tags = model_tagger(options.model, "clincode").tag([sentence.words for sentence in sentences])
    counts: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    lost = 0
    for sentence, predicted in zip(sentences, tags, strict=True):
        words = "".join(sentence.words)
        own = [name for name, text in notes.items() if words in text]
        if len(own) != 1:
            lost += 1
            continue
        gold, found = entity_set([sentence.tags]), entity_set([predicted])
        counts[own[0]] += np.array([len(gold & found), len(found - gold), len(gold - found)])
    matrix = np.stack(list(counts.values()))
    f1, sd = f1_of(matrix)
    correct, false, missed = (int(total) for total in matrix.sum(axis=0))
    whole = (2 * correct + false + missed) / len(matrix)
    chance = math.sqrt((correct * (2 - 2 * f1) ** 2 + (false + missed) * f1**2) / len(matrix)) / whole
    figures = {
        "notes": len(matrix),
        "sentences_without_a_note": lost,
        "entities_of_a_note": (correct + missed) / len(matrix),
        "f1": f1,
        "sd": sd,
        "sd_by_chance": chance,
        "sd_beyond_chance": math.sqrt(max(0.0, sd**2 - chance**2)),
        "design_effect": (sd / chance) ** 2,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
