"""A small list of one block, for tests that change it; the whole list comes from the fixtures above.

Besides, notes with their mentions marked, coders, and a linker whose vectors need no weights.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pytest
from tokenizers import Tokenizer

from clincode.icd import Coder, IcdLinker, LinkingModel, Mention, Terminology
from clincode.icd.candidates import FEATURES, Feature
from clincode.icd.linker import Embed
from clincode.icd.linking_model import Examples, Names, quantised, word_table
from clincode.icd.ranker import Ranker
from clincode.icd.spelling import Speller
from clincode.icd.terminology import TabularList
from clincode.icd.vector_names import vector_names
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.senses import expanded, resolve_abbreviations
from clincode.types import Assertion, Certainty, Experiencer, FloatArray, Sentence, Span, Temporality

DIMENSIONS = 96
CATEGORIES = (
    *("E10", "E11", "I10", "I21", "I50", "J18", "J45", "K35", "M25", "N18", "R05", "R50", "S52", "C50", "O24", "Z85"),
)
EXAMPLES = (
    # name, codes, whether it is a mention of an annotated corpus
    ("sugar sickness", ("E11.9",), False),
    ("heart seizure", ("I21", "I21.9"), True),
    ("water on the heart", ("I50.9",), True),
    ("wheezy chest", ("J45.909", "R06.2"), False),
)
_MARKED = re.compile(r"\{([^{}|]+)(?:\|([\w,]+))?\}")


@pytest.fixture
def small_list() -> TabularList:
    return TabularList(
        release="April 1999",
        codes=("Chapter 9", "I20-I25", "I21", "I21.9", "S52", "S52.5"),
        titles=("Heart", "Ischemic", "Acute infarction", "Acute infarction, unspecified", "Forearm", "Lower end"),
        parents=(-1, 0, 1, 2, 1, 4),
        seventh=({"A": "initial encounter", "D": "subsequent encounter"},),
        extended={"S52.5": (0, "AD")},
        notes={"inclusion_terms": {"I21.9": ["Infarction NOS"]}, "excludes1": {"I21": ["old infarction (I25.2)"]}},
    )


# -- notes --


@dataclass(frozen=True, slots=True)
class MarkedNote:
    text: str
    sentences: tuple[Sentence, ...]
    mentions: tuple[Mention, ...]


@pytest.fixture(scope="session")
def marked() -> Callable[[str], MarkedNote]:
    """Reads a note with its mentions in braces: "{asthma}", "{asthma|negated}", "{knee|ANATOMY}".

    Abbreviations are written out as the pipeline does.
    """
    return _marked


def _marked(note: str) -> MarkedNote:
    text, spans, at = "", [], 0
    for match in _MARKED.finditer(note):
        text += note[at : match.start()]
        spans.append((len(text), len(text) + len(match[1]), (match[2] or "").split(",")))
        text += match[1]
        at = match.end()
    text += note[at:]
    sentences = split_sentences(text)
    typed = [Span(start, end, _type(said), 0.9) for start, end, said in spans]
    uses = resolve_abbreviations(text, sentences, typed)
    mentions = []
    for span, (_, _, said) in zip(typed, spans, strict=True):
        sentence = next(each for each in sentences if each.start <= span.start and span.end <= each.end)
        mentions.append(Mention(span, expanded(text, span, uses)[0], _assertion(said), sentence))
    return MarkedNote(text, sentences, tuple(mentions))


def _type(said: list[str]) -> EntityType:
    return next((EntityType(word) for word in said if word.isupper()), EntityType.DIAGNOSIS)


def _assertion(said: list[str]) -> Assertion:
    assertion = Assertion()
    for word in filter(str.islower, said):
        if word in tuple(Certainty):
            assertion = replace(assertion, certainty=Certainty(word))
        elif word in tuple(Temporality):
            assertion = replace(assertion, temporality=Temporality(word))
        else:
            assertion = replace(assertion, experiencer=Experiencer(word))
    return assertion


# -- linkers and coders --


@pytest.fixture(scope="session")
def coder(linker: IcdLinker) -> Coder:
    """By names alone."""
    return Coder(linker)


@pytest.fixture(scope="session")
def ordinary_words(tokenizer_file: object) -> list[str]:
    """What the encoder of a release takes for ordinary language."""
    return [word for word in Tokenizer.from_file(str(tokenizer_file)).get_vocab() if word.isalpha()]


@pytest.fixture(scope="session")
def speller(dense_linker: IcdLinker) -> Speller:
    return dense_linker.speller


@pytest.fixture(scope="session")
def embed() -> Embed:
    """Unit vectors by the trigrams of the letters: near where texts are spelled alike, and the same on every run."""

    def vectors(texts: object) -> FloatArray:
        return np.array([_vector(text) for text in texts], dtype=np.float32).reshape(-1, DIMENSIONS)  # type: ignore[attr-defined]

    return vectors


def _vector(text: str) -> FloatArray:
    padded = f"  {text.lower()}  "
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for i in range(len(padded) - 2):
        hashed = crc32(padded[i : i + 3].encode("utf-8", "replace"))
        vector[hashed % DIMENSIONS] += 1 if hashed >> 16 & 1 else -1
    if not vector.any():  # trigrams that undo one another
        vector[0] = 1
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="session")
def tiny_model(terminology: Terminology, embed: Embed) -> LinkingModel:
    """A few categories, invented examples, and a ranker with weights set by hand: likeness counts, and a name met."""
    names = [name for name in vector_names(terminology) if name.code.startswith(CATEGORIES)]
    texts = [name.text for name in names]
    word_ids, starts, vocabulary, weights = word_table(texts)
    table = Names([n.code for n in names], word_ids, starts, vocabulary, weights, quantised(embed(texts)))
    learnt = np.array([learnt for *_, learnt in EXAMPLES])
    examples = Examples([c for _, c, _ in EXAMPLES], quantised(embed([name for name, *_ in EXAMPLES])), learnt)
    return LinkingModel("icd-linker-v0.0.1", table, examples, _ranker(billable=0.0), _ranker(billable=0.5), 0.3)


def _ranker(*, billable: float) -> Ranker:
    hidden = np.zeros((FEATURES, 2), dtype=np.float32)
    for feature, weight in (
        *((kind, 1.5) for kind in (Feature.KIND_EXACT, Feature.KIND_NORMALISED, Feature.KIND_SYNONYM)),
        *((Feature.NAME, 1.5), (Feature.EXAMPLE, 1.5), (Feature.EXAMPLE_SAME, 1.0), (Feature.OVERLAP, 1.0)),
        *((Feature.BILLABLE, billable), (Feature.NONE, -30.0)),
    ):
        hidden[feature, 0] = weight
    hidden[Feature.NONE, 1] = 30.0
    return Ranker(
        np.zeros(FEATURES, dtype=np.float32),
        np.ones(FEATURES, dtype=np.float32),
        hidden,
        np.array([-2.0, 0.0], dtype=np.float32),
        np.array([6.0, 6.0], dtype=np.float32),
        np.array([0.0, 0.5, 1.0], dtype=np.float32),
        np.array([0.0, 0.6, 0.95], dtype=np.float32),
    )


@pytest.fixture(scope="session")
def dense_linker(
    terminology: Terminology, tiny_model: LinkingModel, embed: Embed, ordinary_words: list[str]
) -> IcdLinker:
    """By names, vectors and a ranker, as a release links, but for what they have learnt."""
    return IcdLinker(terminology, tiny_model, embed, ordinary_words=ordinary_words)


@pytest.fixture(scope="session")
def dense_coder(dense_linker: IcdLinker) -> Coder:
    return Coder(dense_linker)
