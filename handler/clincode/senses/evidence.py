"""Which sense the surroundings speak for.

A sense's score is the logarithm of how common it is, and what its clues among the words around weigh, by how near they
stand. Confidence is the softmax of the scores.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clincode.labels import EntityType
from clincode.senses.table import Sense
from clincode.types import Sentence

_FAR = 160
"""Characters on each side in which the near words are looked for."""
_FARTHEST = 480
"""Characters of its sentence on each side; it keeps a sentence of nothing but abbreviations from taking for ever."""
_MOST_NOTE_CLUES = 4
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*|[%#<>@]")


@dataclass(frozen=True, slots=True)
class Weights:
    """What a clue weighs: ``near`` in the sentence (within ``near_words``), elsewhere in the ``sentence``, ``beside``
    it in the next one, elsewhere in the ``note``; and what the ``type`` weighs that the model gave."""

    near_words: int
    near: float
    sentence: float
    beside: float
    note: float
    type: float


def best_sense(
    text: str,
    start: int,
    end: int,
    sentence: Sentence,
    senses: Sequence[Sense],
    model_type: EntityType | None,
    note_words: frozenset[str],
    weights: Weights,
) -> tuple[Sense, float]:
    """The sense of ``text[start:end]`` that its surroundings speak for most, and the confidence in it (0 to 1)."""
    before = list(_WORD.finditer(text[max(0, start - _FAR) : start]))
    after = list(_WORD.finditer(text[end : end + _FAR]))
    near = _runs(before[-weights.near_words :]) | _runs(after[: weights.near_words])
    first, last = max(sentence.start, start - _FARTHEST), min(sentence.end, end + _FARTHEST)
    own = clue_words(text[first:start]) | clue_words(text[end:last])
    scores = []
    for sense in senses:
        clues = sense.clues
        score = math.log(sense.prior)
        score += weights.near * len(clues & near & own) + weights.sentence * len((clues & own) - near)
        score += weights.beside * len((clues & near) - own)
        score += weights.note * min(_MOST_NOTE_CLUES, len((clues & note_words) - near - own))
        score += weights.type if model_type is not None and model_type is sense.type else 0.0
        scores.append(score)
    highest = max(scores)
    confidence = 1 / sum(math.exp(score - highest) for score in scores)
    return senses[scores.index(highest)], confidence


def clue_words(text: str) -> frozenset[str]:
    """Words, and runs of two and three of them, in lower case."""
    return _runs(list(_WORD.finditer(text)))


def _runs(matches: Iterable[re.Match[str]]) -> frozenset[str]:
    words = [match.group().lower() for match in matches]
    runs = (" ".join(words[i : i + size]) for size in (1, 2, 3) for i in range(len(words) - size + 1))
    return frozenset(runs)
