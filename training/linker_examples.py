"""The names that a linker knows, as vectors: those of the list, and examples with the codes that were given to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clincode.icd import Terminology
from clincode.icd.disease_ontology import read_disease_ontology
from clincode.icd.linking_model import Examples, Names, word_table
from clincode.icd.synonyms import load_synonyms
from clincode.icd.vector_names import vector_names
from clincode.model import MentionEncoder
from training.evaluate_icd import LinkingRecord, written_out
from training.linker_release import embedded, known_vectors


@dataclass(frozen=True, slots=True)
class Example:
    """A name, its codes, and the documents that have it; none for a name of a dictionary."""

    name: str
    codes: tuple[str, ...]
    documents: frozenset[str] = frozenset()


def embedded_names(terminology: Terminology, encoder: MentionEncoder) -> Names:
    """The table of the list's names, with their vectors."""
    names = list(vector_names(terminology))
    texts = [name.text for name in names]
    vectors = embedded(texts, encoder, "vectors of ICD-10-CM")
    return Names([name.code for name in names], *word_table(texts), vectors)


def known_names(release: Path, terminology: Terminology, dimensions: int) -> Names | None:
    """The same from a release of the same encoder and list, where there is one: embedding takes minutes."""
    listed = list(vector_names(terminology))
    texts = [name.text for name in listed]
    vectors = known_vectors(release, texts, dimensions)
    return None if vectors is None else Names([name.code for name in listed], *word_table(texts), vectors)


def dictionary_examples(terminology: Terminology, ontology: Path) -> list[Example]:
    """Names of the Disease Ontology and curated short forms, with the codes of the release."""
    codes: dict[str, dict[str, None]] = {}
    for term in read_disease_ontology(ontology):
        known = [code for code in term.icd10cm if code in terminology]
        for name in (term.label, *term.synonyms):
            if known:
                codes.setdefault(name.lower(), {}).update(dict.fromkeys(known))
    for name, code in load_synonyms(terminology).items():
        codes.setdefault(name, {}).setdefault(code)
    return [Example(name, tuple(found)) for name, found in codes.items()]


def learnt_examples(records: Sequence[LinkingRecord], terminology: Terminology) -> list[Example]:
    """Each different mention once."""
    codes: dict[str, dict[str, None]] = {}
    documents: dict[str, set[str]] = {}
    for record in records:
        name = written_out(record).lower()
        codes.setdefault(name, {}).update(dict.fromkeys(c for c in sorted(record.gold) if c in terminology))
        documents.setdefault(name, set()).add(record.document)
    return [Example(name, tuple(found), frozenset(documents[name])) for name, found in codes.items() if found]


def embedded_examples(examples: Sequence[Example], encoder: MentionEncoder) -> Examples:
    vectors = embedded([example.name for example in examples], encoder, "vectors of examples")
    learnt = np.array([bool(example.documents) for example in examples])
    return Examples([example.codes for example in examples], vectors, learnt)
