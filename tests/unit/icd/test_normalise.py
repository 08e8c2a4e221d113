"""Mentions and titles meet under one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.errors import ResourceError
from clincode.icd import normalise
from clincode.icd.normalise import bag, key, related_bag, words

SAME_KEY = [
    ("Anaemia", "anemia"),
    ("oedema", "Edema"),
    ("oedema", "edema, unspecified"),
    ("tumours", "tumor"),
    ("haemorrhage", "hemorrhage"),
    ("haemolytic-uraemic syndrome", "Hemolytic-uremic syndrome"),
    ("hypercholesterolaemia", "hypercholesterolemia"),
    ("leukaemia", "leukemia"),
    ("diarrhoea", "Diarrhea"),
    ("dyspnoea", "dyspnea"),
    ("oesophagitis", "esophagitis"),
    ("gastro-oesophageal reflux", "gastroesophageal reflux"),
    ("Gastro-esophageal reflux", "gastroesophageal reflux"),
    ("angio-oedema", "angioedema"),
    ("paediatric", "pediatric"),
    ("coeliac disease", "Celiac disease"),
    ("generalised", "generalized"),
    ("behavioural", "behavioral"),
    ("Parkinson's disease", "Parkinson disease"),
    ("Parkinson’s disease", "Parkinsons disease"),
    ("Graves' disease", "Graves disease"),
    ("Crohn's disease [regional enteritis]", "crohn disease regional enteritis"),
    ("Guillain-Barré syndrome", "guillain barre syndrome"),
    ("Sjögren syndrome", "Sjogren's syndrome"),
    ("non-Hodgkin lymphoma", "non Hodgkin's lymphomas"),
    ("non-Hodgkin lymphoma", "nonhodgkin lymphoma"),
    ("type II diabetes", "type 2 diabetes"),
    ("stage III", "Stage 3"),
    ("metastases", "metastasis"),
    ("thromboses", "thrombosis"),
    ("emboli", "embolus"),
    ("calculi of kidney", "calculus, kidney"),
    ("biopsies", "biopsy"),
    ("abscesses", "abscess"),
    ("diseases", "disease"),
    ("hernias", "hernia"),
    ("Pneumonia, unspecified", "pneumonia NOS"),
    ("Apnea, not elsewhere classified", "apnea"),
    ("Nausea with vomiting", "nausea and vomiting"),
    ("ﬁbrosis", "fibrosis"),
    ("  chest\u00a0pain ", "Chest pain"),
]
OTHER_KEY = [
    ("with hemorrhage", "without hemorrhage"),
    ("other pneumonia", "pneumonia"),
    ("type 1 diabetes", "type 2 diabetes"),
    ("left knee", "right knee"),
    ("acute bronchitis", "bronchitis"),
    ("hypotension", "hypertension"),
    ("not intractable", "intractable"),
]


@pytest.mark.parametrize(("one", "other"), SAME_KEY)
def test_same_key(one: str, other: str) -> None:
    assert key(one) == key(other) != ""


@pytest.mark.parametrize(("one", "other"), OTHER_KEY)
def test_keys_that_must_differ(one: str, other: str) -> None:
    assert key(one) != key(other)
    assert bag(words(one)) != bag(words(other))
    assert related_bag(words(one)) != related_bag(words(other))


@pytest.mark.parametrize("word", ["diabetes", "ascites", "scabies", "pancreas", "pus", "stenosis", "virus", "abscess"])
def test_what_looks_like_a_plural_stays(word: str) -> None:
    assert words(word) == (word,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pain, chest", "chest pain"),
        ("kidney calculus", "calculus of the kidney"),
        ("bladder neoplasm", "neoplasm of bladder"),
    ],
)
def test_order_free_key(one: str, other: str) -> None:
    assert key(one) != key(other)
    assert bag(words(one)) == bag(words(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("renal failure", "kidney failure"),
        ("bladder cancer", "malignant neoplasm of bladder"),
        ("hepatic cirrhosis", "cirrhosis of liver"),
        ("diabetes", "diabetes mellitus"),
        ("kidney stone", "renal calculus"),
        ("heart disorder", "cardiac disease"),
    ],
)
def test_words_of_one_meaning(one: str, other: str) -> None:
    assert bag(words(one)) != bag(words(other))
    assert related_bag(words(one)) == related_bag(words(other))


@given(st.text())
def test_any_text_has_a_key_that_is_its_own(text: str) -> None:
    assert key(text) == key(text.upper().lower()) or not text.isascii()
    assert key(key(text)) == key(text) or not text.isascii() or any(c in text for c in "'-`.")
    assert all(word == word.lower() for word in words(text)) or not text.isascii()


@pytest.mark.parametrize(
    ("name", "row", "fault"),
    [
        ("_spelling", {"variant": "x", "canonical": "y", "where": "middle"}, "middle"),
        ("word_equivalents", {"words": "renal,Renal", "meaning": "kidney"}, "twice"),
    ],
)
def test_malformed_tables_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, row: dict[str, str], fault: str
) -> None:
    monkeypatch.setattr(normalise, "load_tsv_resource", lambda *_: [row])
    if name == "word_equivalents":
        monkeypatch.setattr(normalise, "canonical_word", str.lower)
    with pytest.raises(ResourceError, match=fault):
        getattr(normalise, name).__wrapped__()
