"""What the rankers learn from: mentions with their candidates, and which of them are right."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from clincode.icd import Terminology
from clincode.icd.candidates import CandidateFinder, Candidates
from clincode.icd.defaults import Defaults
from clincode.icd.linking_model import Examples, Names
from clincode.icd.name_lookup import NameLookup
from clincode.icd.synonyms import load_synonyms
from clincode.icd.vector_names import vector_names
from clincode.labels import OUTSIDE
from clincode.model import MentionEncoder
from clincode.types import FloatArray
from training.corpora import GUIDELINES, TaggedSentence, read_iob2
from training.evaluate_icd import LinkingRecord, written_out
from training.linker_examples import Example
from training.linking_names import misspelt, varied

FOLDS = 5
MISSPELT_SHARE = 0.2
_ANY_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates of one mention, and which of them are gold; the last place is right where none is."""

    mention: str
    candidates: Candidates
    right: FloatArray
    gold: frozenset[str]


def gather(
    records: Sequence[LinkingRecord],
    terminology: Terminology,
    names: Names,
    examples: Examples,
    origins: Sequence[Example],
    encoder: MentionEncoder,
    *,
    hide_own: bool,
    by_name: bool = True,
) -> list[Ranked]:
    """Features of every record; ``hide_own`` leaves out examples that only the record's own document has, and without
    ``by_name`` nothing is looked up in the list's names."""
    defaults = Defaults(terminology)
    lookup = NameLookup(terminology, defaults) if by_name else None
    by_document: dict[str, list[LinkingRecord]] = {}
    for record in records:
        by_document.setdefault(record.document, []).append(record)
    mentions = list(dict.fromkeys(written_out(record) for record in records))
    vectors = dict(zip(mentions, encoder.embed(mentions), strict=True))
    ranked: list[Ranked] = []
    for document, own in tqdm(by_document.items(), desc="candidates", unit="document"):
        visible = [not hide_own or example.documents != {document} for example in origins]
        shown = examples
        if not all(visible):
            mask = np.array(visible)
            codes = [c for c, seen in zip(examples.codes, visible, strict=True) if seen]
            shown = Examples(codes, examples.vectors[mask], examples.learnt[mask])
        finder = CandidateFinder(terminology, defaults, names, shown)
        texts = [written_out(record) for record in own]
        near = finder.nearest(np.stack([vectors[text] for text in texts]))
        for record, text, (near_names, near_examples) in zip(own, texts, near, strict=True):
            found = lookup.find(text) if lookup else ()
            candidates = finder.gather(text, found, near_names, near_examples)
            right = np.array([code in record.gold for code in candidates.codes] + [False], dtype=np.float32)
            right[-1] = not right.any()
            ranked.append(Ranked(text.lower(), candidates, right, record.gold))
    return ranked


def claim_records(
    terminology: Terminology,
    names: Names,
    examples: Examples,
    origins: Sequence[Example],
    encoder: MentionEncoder,
    other_mentions: Path,
    *,
    seed: int,
    verbatim: int = 2500,
) -> list[Ranked]:
    """What a coder would choose: curated terms, most of them ranked by a lookup and examples that do not know them,
    and names of the list as they stand, in another order or misspelt. Each is a document of its own."""
    source = random.Random(seed)
    defaults = Defaults(terminology)
    synonyms = load_synonyms(terminology)
    terms = list(synonyms)
    source.shuffle(terms)
    ranked: list[Ranked] = []
    for fold in tqdm(range(FOLDS), desc="curated terms", unit="fold"):
        asked = terms[fold::FOLDS]
        hidden = set(asked[len(asked) // 4 :])  # the rest is met as it will be: known
        lookup = NameLookup(terminology, defaults, synonyms={t: c for t, c in synonyms.items() if t not in hidden})
        mask = np.array([example.name not in hidden for example in origins])
        codes = [example.codes for example, seen in zip(origins, mask, strict=True) if seen]
        shown = Examples(codes, examples.vectors[mask], examples.learnt[mask])
        finder = CandidateFinder(terminology, defaults, names, shown)
        pairs = [(_as_written(term, source), synonyms[term]) for term in asked]
        ranked += _claims(pairs, finder, lookup, defaults, encoder)
    lookup = NameLookup(terminology, defaults)
    finder = CandidateFinder(terminology, defaults, names, examples)
    # Long names too, though they have no vector: mentions are as long.
    listed = source.sample(list(vector_names(terminology, longest=_ANY_LENGTH)), verbatim)
    pairs = [(_as_written(source.choice(varied(name.text)), source), name.code) for name in listed]
    ranked += _claims(pairs, finder, lookup, defaults, encoder)
    return ranked + no_disease_records(other_mentions, finder, lookup, encoder, seed=seed)


def no_disease_records(
    path: Path, finder: CandidateFinder, lookup: NameLookup, encoder: MentionEncoder, *, seed: int, most: int = 1500
) -> list[Ranked]:
    """Mentions of anatomy, drugs, tests and procedures: none of their candidates is right."""
    found = {
        text.lower()
        for sentence in read_iob2(path, GUIDELINES["clincode"])
        for text, kind in _mentions(sentence)
        if kind != "DIAG"
    }
    texts = random.Random(seed).sample(sorted(found), min(most, len(found)))
    ranked = []
    for text, (near_names, near_examples) in zip(texts, finder.nearest(encoder.embed(texts)), strict=True):
        candidates = finder.gather(text, lookup.find(text), near_names, near_examples)
        right = np.zeros(len(candidates.codes) + 1, dtype=np.float32)
        right[-1] = 1
        ranked.append(Ranked(text, candidates, right, frozenset()))
    return ranked


def _mentions(sentence: TaggedSentence) -> Iterator[tuple[str, str]]:
    """Words and type of each mention of a sentence."""
    words: list[str] = []
    kind = ""
    for word, tag in (*zip(sentence.words, sentence.tags, strict=True), ("", OUTSIDE)):
        if words and not (tag.startswith("I-") and tag[2:] == kind):
            yield " ".join(words), kind
            words = []
        if tag != OUTSIDE:
            words.append(word)
            kind = tag[2:]


def _as_written(name: str, source: random.Random) -> str:
    return misspelt(name, source) if source.random() < MISSPELT_SHARE else name


def _claims(
    pairs: Sequence[tuple[str, str]],
    finder: CandidateFinder,
    lookup: NameLookup,
    defaults: Defaults,
    encoder: MentionEncoder,
) -> list[Ranked]:
    """Right is the code, and what a claim goes on from to the same billable code."""
    near = finder.nearest(encoder.embed([text for text, _ in pairs]))
    ranked = []
    for (text, code), (near_names, near_examples) in zip(pairs, near, strict=True):
        candidates = finder.gather(text, lookup.find(text), near_names, near_examples)
        billable = defaults[code].code
        right = np.array([defaults[other].code == billable for other in candidates.codes] + [False], dtype=np.float32)
        right[-1] = not right.any()
        ranked.append(Ranked(text, candidates, right, frozenset([code])))
    return ranked
