"""What a network says of a corpus, kept as logits: tags and confidences at any temperature, without reading again."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.decode import BioDecoder
from clincode.labels import OUTSIDE, TYPE_TO_TAG
from clincode.model import BertForClinicalNER, NerEngine
from clincode.types import EncodedNote, FloatArray
from clincode.windows import Windower
from training.bundle import write_checkpoint
from training.calibration import Pairs
from training.corpora import TaggedSentence
from training.evaluate_ner import ModelTagger, sentence_breaks
from training.scoring import Entity, entity_set


@dataclass(frozen=True, slots=True)
class Found:
    """A predicted entity, as ``scoring.Entity`` names it, and its confidence."""

    entity: Entity
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The logits of a corpus: its documents (consecutive sentences), their words and a row of logits a word."""

    labels: tuple[str, ...]
    documents: tuple[tuple[tuple[tuple[str, ...], ...], EncodedNote, FloatArray], ...]

    @classmethod
    def of(cls, tagger: ModelTagger, sentences: Sequence[TaggedSentence]) -> "Reading":
        documents = [
            (tuple(tuple(sentence) for sentence in document), note, logits)
            for document, note, logits in tagger.read([sentence.words for sentence in sentences])
        ]
        return cls(tagger.config.heads[tagger.head], tuple(documents))

    def found(self, temperature: float = 1.0) -> list[Found]:
        """The entities in the order of the text; which they are does not depend on the temperature."""
        return [found for document in self.by_document(temperature) for found in document]

    def by_document(self, temperature: float = 1.0) -> Iterator[list[Found]]:
        """The same, a list a document."""
        decoder = BioDecoder(self.labels, temperature)
        before = 0
        for document, note, logits in self.documents:
            starts = [0, *accumulate(len(sentence) for sentence in document)]
            sentence_of = [index for index, sentence in enumerate(document) for _ in sentence]
            found = []
            for span in decoder.decode(logits, note.words, sentence_breaks(document, note)):
                sentence = sentence_of[span.start]
                first, last = span.start - starts[sentence], span.end - 1 - starts[sentence]
                found.append(Found((before + sentence, first, last, TYPE_TO_TAG[span.type]), span.confidence))
            yield found
            before += len(document)

    def tags(self) -> list[list[str]]:
        """BIO tags, a list a sentence, as ``ModelTagger.tag`` gives them."""
        rows = [[OUTSIDE] * len(sentence) for document, _, _ in self.documents for sentence in document]
        for found in self.found():
            sentence, first, last, tag = found.entity
            rows[sentence][first : last + 1] = [f"B-{tag}", *[f"I-{tag}"] * (last - first)]
        return rows


def load_tagger(model: Path, head: str = SERVING_HEAD) -> ModelTagger:
    """The tagger of any model folder, in FP32, so that the same model gives the same figures everywhere.

    Raises:
        BundleError: it is no model folder, or one of its files does not fit.
        ValueError: it has no such head.
    """
    with TemporaryDirectory(prefix="clincode-evaluation-") as folder:
        write_checkpoint(model, Path(folder))
        config = ModelConfig.load(Path(folder))
        if head not in config.heads:
            raise ValueError(f"{config.version} has no head '{head}'; it has {', '.join(config.heads)}")
        engine = NerEngine(BertForClinicalNER.load(Path(folder), config), precision="fp32")
        return ModelTagger(config, Windower.load(Path(folder), config), engine, head)


def right_or_wrong(found: Sequence[Found], sentences: Sequence[TaggedSentence], tags: Collection[str]) -> Pairs:
    """Confidence of each entity of these tags, and 1 where type and both boundaries are right, else 0."""
    gold = entity_set((sentence.tags for sentence in sentences), tags=tags)
    return [(one.confidence, float(one.entity in gold)) for one in found if one.entity[3] in tags]
