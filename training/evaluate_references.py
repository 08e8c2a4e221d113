"""How often a reference is led back to what it means: MACCROBAT's Coreference mentions and IDENTICAL relations.

A mention that points back is given; the answer is right where it lies in the same chain of IDENTICAL mentions.
Precision is over the answers given, recall over the mentions that have something before them to mean. Beside it stands
the baseline: the nearest mention before, of a type that fits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clincode.labels import TAG_TO_TYPE
from clincode.references import Anaphor, anaphor_at, antecedent
from clincode.sections import split_sentences
from clincode.types import Sentence, Span
from training.brat import TAG_OF, BratError

COREFERENCE, IDENTICAL = "Coreference", "IDENTICAL"
Resolver = Callable[[str, Sequence[Sentence], Anaphor, Sequence[Span]], Span | None]


@dataclass(frozen=True, slots=True)
class PointingMention:
    """A Coreference mention, the entities before it and which of them it means: indices of ``before``."""

    text: str
    sentences: Sequence[Sentence]
    anaphor: Anaphor
    before: Sequence[Span]
    meant: frozenset[int]


def pointing_mentions(folder: Path) -> Iterator[PointingMention]:
    """All Coreference mentions of a MACCROBAT folder that mean an entity of the five types before them."""
    files = sorted(folder.glob("*.ann"))
    if not files:
        raise BratError(f"{folder}: no .ann files")
    for path in files:
        yield from _of_document(path)


def _of_document(path: Path) -> Iterator[PointingMention]:
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    sentences = split_sentences(text)
    mentions: dict[str, tuple[str, int, int]] = {}
    events: dict[str, str] = {}
    chains: dict[str, set[str]] = defaultdict(set)
    links = []
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition("\t")
        head = rest.partition("\t")[0].split()
        if key.startswith("T") and ";" not in rest.partition("\t")[0]:
            mentions[key] = (head[0], int(head[1]), int(head[2]))
        elif key.startswith("E"):
            events[key] = head[0].split(":")[1]
        elif key.startswith("R") and head[0] == IDENTICAL:
            links.append([part.split(":")[1] for part in head[1:3]])
    for one, other in links:
        first, second = events.get(one, one), events.get(other, other)
        chain = chains[first] | chains[second] | {first, second}
        for key in chain:
            chains[key] = chain
    entities = sorted(
        (
            (start, end, TAG_TO_TYPE[TAG_OF[kind]], key)
            for key, (kind, start, end) in mentions.items()
            if kind in TAG_OF
        ),
        key=lambda entity: entity[:2],
    )
    for key, (kind, start, end) in sorted(mentions.items(), key=lambda item: item[1][1]):
        if kind != COREFERENCE:
            continue
        before = [entity for entity in entities if entity[1] <= start]
        meant = frozenset(index for index, entity in enumerate(before) if entity[3] in chains[key])
        sentence = next((s for s in sentences if s.start <= start < s.end), Sentence(0, len(text)))
        if meant:
            spans = [Span(entity[0], entity[1], entity[2], 1.0) for entity in before]
            yield PointingMention(text, sentences, anaphor_at(text, start, end, sentence), spans, meant)


def nearest(_text: str, _sentences: Sequence[Sentence], anaphor: Anaphor, spans: Sequence[Span]) -> Span | None:
    """The baseline: the last mention of a type that fits."""
    return next((span for span in reversed(spans) if not anaphor.types or span.type in anaphor.types), None)


def evaluate_references(folder: Path) -> Mapping[str, Mapping[str, float]]:
    """Scores of ours and of the baseline on the same mentions."""
    found = list(pointing_mentions(folder))
    return {"references": _scores(found, antecedent), "nearest of a fitting type": _scores(found, nearest)}


def _scores(mentions: Sequence[PointingMention], resolver: Resolver) -> dict[str, float]:
    answers = [resolver(m.text, m.sentences, m.anaphor, m.before) for m in mentions]
    given = sum(answer is not None for answer in answers)
    right = sum(
        answer is not None and m.before.index(answer) in m.meant for m, answer in zip(mentions, answers, strict=True)
    )
    precision, recall = right / max(1, given), right / max(1, len(mentions))
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "n": len(mentions)}
