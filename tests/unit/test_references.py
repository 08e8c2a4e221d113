"""Words that point back are led to what they mean; words that do not are left alone."""

from pathlib import Path

import pytest

from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.references import parse_rules, resolve_references
from clincode.sections import split_sentences
from clincode.types import Span
from training.evaluate_references import evaluate_references

D, P, M, T, A = (EntityType[name] for name in ("DIAGNOSIS", "PROCEDURE", "MEDICATION", "TEST", "ANATOMY"))


def resolved(note: str, mentions: list[tuple[str, EntityType]]) -> list[tuple[str, str]]:
    spans, at = [], 0
    for words, kind in mentions:
        at = note.index(words, at)
        spans.append(Span(at, at + len(words), kind, 0.9))
        at += len(words)
    found = resolve_references(note, split_sentences(note), spans)
    return [(note[r.start : r.end], note[r.antecedent_start : r.antecedent_end]) for r in found]


@pytest.mark.parametrize(
    ("note", "mentions", "expected"),
    [
        ("The mass was biopsied. It was benign.", [("mass", D)], [("It", "mass")]),
        ("She has pneumonia. This was treated at home.", [("pneumonia", D)], [("This", "pneumonia")]),
        (
            "CT showed a 3 cm adenocarcinoma of the colon. The tumor was resected.",
            [("CT", T), ("adenocarcinoma", D), ("colon", A)],
            [("The tumor", "adenocarcinoma")],
        ),
        (
            "Started on ceftriaxone for cellulitis. The antibiotic was changed to clindamycin.",
            [("ceftriaxone", M), ("cellulitis", D), ("clindamycin", M)],
            [("The antibiotic", "ceftriaxone")],
        ),
        (
            "He underwent laparoscopic cholecystectomy for gallstones. The procedure was uncomplicated.",
            [("laparoscopic cholecystectomy", P), ("gallstones", D)],
            [("The procedure", "laparoscopic cholecystectomy")],
        ),
        (
            "Aspirin and warfarin were continued. The anticoagulant was held before surgery.",
            [("Aspirin", M), ("warfarin", M), ("surgery", P)],
            [("The anticoagulant", "warfarin")],
        ),
        (
            "MRI of the brain was obtained for headache. It showed no lesion.",
            [("MRI", T), ("brain", A), ("headache", D), ("lesion", D)],
            [("It", "MRI")],
        ),
        ("It is important to take aspirin.", [("aspirin", M)], []),
        ("He has asthma. It was noted that he smokes.", [("asthma", D)], []),
        ("He has asthma. It has been 3 weeks since his visit.", [("asthma", D)], []),
        ("He has gout. This is a pleasant man.", [("gout", D)], []),
        ("The mass was large.", [("mass", D)], []),
    ],
)
def test_references(note: str, mentions: list[tuple[str, EntityType]], expected: list[tuple[str, str]]) -> None:
    assert resolved(note, mentions) == expected


@pytest.mark.parametrize(
    "nouns", [[{"noun": "x", "types": "ILLNESS", "kin": ""}], [{"noun": "x", "types": "TEST", "kin": ""}] * 2]
)
def test_a_broken_row_is_named(nouns: list[dict[str, str]]) -> None:
    with pytest.raises(ResourceError, match="'x'"):
        parse_rules(nouns, [])


def test_ours_are_better_than_the_nearest(data_dir: Path) -> None:
    scores = evaluate_references(data_dir / "maccrobat" / "train")
    assert scores["references"]["n"] == 189
    assert scores["references"]["f1"] > scores["nearest of a fitting type"]["f1"] + 0.1
