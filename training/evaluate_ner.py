"""Predictions of a model on sentences of an annotated corpus, and their scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

from tqdm import tqdm

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.decode import BioDecoder
from clincode.labels import OUTSIDE, TAG_TO_TYPE, TYPE_TO_TAG
from clincode.model import NerEngine
from clincode.types import EncodedNote, FloatArray
from clincode.windows import Windower, merge_windows
from training.corpora import Guideline, TaggedSentence
from training.scoring import bootstrap_intervals, entity_set, match_schemes, strict_scores

DOCUMENT_WORDS = 256
"""Consecutive sentences are read together up to this many words, as they would be in a note."""


class Tagger(Protocol):
    """Anything that gives sentences their BIO tags."""

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]: ...


@dataclass(frozen=True, slots=True)
class ModelTagger:
    """The network with the same windows and the same decoding as in serving."""

    config: ModelConfig
    windower: Windower
    engine: NerEngine
    head: str = SERVING_HEAD

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """BIO tags in our tag names, a list a sentence; sentences that follow each other are read together."""
        decoder = BioDecoder(self.config.heads[self.head])
        return [tags for document in self.read(sentences) for tags in _split_tags(decoder, *document)]

    def read(self, sentences: Sequence[Sequence[str]]) -> Iterator[tuple[list[Sequence[str]], EncodedNote, FloatArray]]:
        """Documents of consecutive sentences, each with its word offsets (word indices) and logits, a row a word."""
        documents = list(_documents(sentences))
        for start in tqdm(range(0, len(documents), 32), desc=f"tagging ({self.head})", unit="batch", leave=False):
            batch = documents[start : start + 32]
            encoded = [self._encode(document) for document in batch]
            flat = iter(self.engine.logits([w for e in encoded for w in e.windows], head=self.head))
            for document, note in zip(batch, encoded, strict=True):
                yield document, note, merge_windows(note, [next(flat) for _ in note.windows])

    def _encode(self, document: Sequence[Sequence[str]]) -> EncodedNote:
        words = [word for sentence in document for word in sentence]
        return self.windower.encode_words(words, [(i, i + 1) for i in range(len(words))])


def _documents(sentences: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    document: list[Sequence[str]] = []
    words = 0
    for sentence in sentences:
        if document and words + len(sentence) > DOCUMENT_WORDS:
            yield document
            document, words = [], 0
        document.append(sentence)
        words += len(sentence)
    if document:
        yield document


def _split_tags(
    decoder: BioDecoder, document: Sequence[Sequence[str]], note: EncodedNote, logits: FloatArray
) -> Iterator[list[str]]:
    """Decode a document whose word offsets are word indices, and cut its tags into sentences again."""
    starts = [0, *accumulate(len(sentence) for sentence in document)]
    tags = [OUTSIDE] * starts[-1]
    for span in decoder.decode(logits, note.words, sentence_breaks(document, note)):
        tag = TYPE_TO_TAG[span.type]
        tags[span.start : span.end] = [f"B-{tag}", *[f"I-{tag}"] * (span.end - span.start - 1)]
    for start, end in pairwise(starts):
        yield tags[start:end]


def sentence_breaks(document: Sequence[Sequence[str]], note: EncodedNote) -> frozenset[int]:
    """Indices of the words of ``note`` that open a sentence of the document, whose word offsets are word indices."""
    starts = [0, *accumulate(len(sentence) for sentence in document)]
    known = {start for start, _ in note.words}
    # A word that the tokenizer dropped has no logits: the break moves to the next word that has.
    position = {start: i for i, (start, _) in enumerate(note.words)}
    return frozenset(
        position[min(word for word in known if word >= start)]
        for start in starts[:-1]
        if any(word >= start for word in known)
    )


def evaluate_tagger(tagger: Tagger, sentences: Sequence[TaggedSentence], guideline: Guideline) -> dict[str, Any]:
    """``score_tags`` of what the tagger predicts."""
    return score_tags(tagger.tag([sentence.words for sentence in sentences]), sentences, guideline)


def score_tags(
    predicted: Sequence[Sequence[str]], sentences: Sequence[TaggedSentence], guideline: Guideline
) -> dict[str, Any]:
    """Strict scores in the contract's shape, each with the 95% interval of its F1, and nervaluate's schemes beside;
    predictions of types that the corpus does not annotate are left out."""
    names = {tag: TAG_TO_TYPE[tag].value for tag in dict.fromkeys(guideline.tags.values())}
    gold = entity_set((sentence.tags for sentence in sentences), tags=names)
    found = entity_set(predicted, tags=names)
    scores = strict_scores(gold, found, names=names)
    micro, by_tag = bootstrap_intervals(gold, found, len(sentences), tags=list(names))
    per_type = {name: {**scores["per_type"][name], "interval": by_tag[tag]} for tag, name in names.items()}
    schemes = match_schemes([sentence.tags for sentence in sentences], predicted, names)
    return {**scores, "micro": {**scores["micro"], "interval": micro}, "per_type": per_type, "schemes": schemes}
