"""A tiny untrained tagger, its tokenizer and a tiny encoder, for what needs a network and not a good one; a small list
of codes, and notes as the pipeline would have coded them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from clincode.icd import Terminology
from clincode.icd.terminology import TabularList
from clincode.labels import EntityType, bio_labels
from clincode.model import BertForClinicalNER
from clincode.types import Analysis, Assertion, CodeCandidate, Entity, Note, NoteCode, Span
from training.evaluate_coding import CodedNote, Scored

# Runs of tests, in processes of their own too, are not tracked unless a test is about that.
os.environ["CLINCODE_MLFLOW"] = "off"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

LABEL_NAMES = bio_labels(("Chemical", "Disease"))


@pytest.fixture(scope="session")
def word_tokenizer(tokenizer_file: Path) -> Any:
    return AutoTokenizer.from_pretrained(tokenizer_file.parent)


@pytest.fixture
def tiny_model() -> BertForClinicalNER:
    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=128
    )
    return BertForClinicalNER(len(LABEL_NAMES), encoder=BertModel(config))


@pytest.fixture(scope="session")
def small_tabular() -> TabularList:
    rows = [
        ("Chapter 4", "Endocrine diseases (E00-E89)", -1),
        ("E08-E13", "Diabetes mellitus", 0),
        ("E11", "Type 2 diabetes mellitus", 1),
        ("E11.9", "Type 2 diabetes mellitus without complications", 2),
        ("Chapter 9", "Diseases of the circulatory system (I00-I99)", -1),
        ("I10-I16", "Hypertensive diseases", 4),
        ("I10", "Essential (primary) hypertension", 5),
        ("I20-I25", "Ischemic heart diseases", 4),
        ("I21", "Acute myocardial infarction", 7),
        ("I21.4", "Non-ST elevation (NSTEMI) myocardial infarction", 8),
        ("I21.9", "Acute myocardial infarction, unspecified", 8),
        ("I30-I52", "Other forms of heart disease", 4),
        ("I50", "Heart failure", 11),
        ("I50.9", "Heart failure, unspecified", 12),
        ("Chapter 19", "Injuries (S00-T88)", -1),
        ("S50-S59", "Injuries to the elbow and forearm", 14),
        ("S52", "Fracture of forearm", 15),
        ("S52.5", "Fracture of lower end of radius", 16),
    ]
    codes, titles, parents = zip(*rows, strict=True)
    return TabularList(
        release="April 1999",
        codes=codes,
        titles=titles,
        parents=parents,
        seventh=({"A": "initial encounter", "D": "subsequent encounter"},),
        extended={"S52.5": (0, "AD")},
        notes={"inclusion_terms": {"I21.9": ["Myocardial infarction (acute) NOS"], "I50.9": ["Cardiac failure NOS"]}},
    )


@pytest.fixture(scope="session")
def small(small_tabular: TabularList) -> Terminology:
    return Terminology(small_tabular)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, word_tokenizer: Any) -> Path:
    """A folder that ``transformers`` loads, as a package of an encoder holds it."""
    torch.manual_seed(11)
    folder = tmp_path_factory.mktemp("encoder")
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64
    )
    BertModel(config).save_pretrained(folder)
    word_tokenizer.save_pretrained(folder)
    return folder


Found = tuple[str, Sequence[str], Assertion]
"""A mention, its suggestions, best first, and its context."""


@pytest.fixture(scope="session")
def coded_as() -> Callable[..., Scored]:
    """Makes a note of ``gold`` codes, what was found in it and its list; evidence are the mentions whose first
    suggestion a code is, and which are of the patient, now."""

    def make(gold: Sequence[str], codes: Sequence[str], found: Sequence[Found] = (), text: str = "He fell.") -> Scored:
        entities = tuple(
            Entity(
                mention,
                Span(0, len(mention), EntityType.DIAGNOSIS, 0.9),
                assertion,
                None,
                tuple(CodeCandidate(code, "", 0.5) for code in suggestions),
            )
            for mention, suggestions, assertion in found
        )
        listed = tuple(
            NoteCode(
                code,
                "",
                0.5,
                tuple(i for i, (_, first, said) in enumerate(found) if [*first[:1]] == [code] and said == Assertion()),
            )
            for code in codes
        )
        return Scored(
            CodedNote("note-1", text, tuple(gold)), Analysis(Note("note-1", text), entities, listed), tuple(codes)
        )

    return make
