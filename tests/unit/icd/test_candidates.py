"""Candidates of a mention and what speaks for each: from names, from vectors, from both and from neither."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clincode.icd import IcdLinker, LinkingModel, MatchKind, Terminology
from clincode.icd.candidates import FEATURES, NEAREST_EXAMPLES, NEAREST_NAMES, CandidateFinder, Candidates, Feature
from clincode.icd.confidence import Found
from clincode.icd.linker import Embed

HYPERTENSION = Found("I10", "I10", MatchKind.EXACT)
INFARCTION = Found("I21", "I21.9", MatchKind.SYNONYM, guessed=True)
KNEE = Found("M25.56", "M25.569", MatchKind.RELATED, tied=True)


@pytest.fixture(scope="module")
def finder(terminology: Terminology, linker: IcdLinker, tiny_model: LinkingModel) -> CandidateFinder:
    return CandidateFinder(terminology, linker.defaults, tiny_model.names, tiny_model.examples)


def gathered(finder: CandidateFinder, embed: Embed, mention: str, *found: Found) -> Candidates:
    ((names, examples),) = finder.nearest(embed([mention]))
    return finder.gather(mention, found, names, examples)


def row(candidates: Candidates, code: str) -> dict[str, float]:
    """The features of a code that are not 0."""
    values = candidates.features[candidates.codes.index(code)]
    return {feature.name: pytest.approx(float(values[feature]), abs=1e-5) for feature in Feature if values[feature]}


def test_every_kind_of_match_has_a_column_of_its_own() -> None:
    assert [f"KIND_{kind.name}" for kind in MatchKind if f"KIND_{kind.name}" not in Feature.__members__] == []
    assert [feature.value for feature in Feature] == list(range(FEATURES))


def test_nearest_names_and_examples_in_falling_order(
    finder: CandidateFinder, embed: Embed, tiny_model: LinkingModel
) -> None:
    mentions = ["essential (primary) hypertension", "sugar sickness", "wheezy chest"]
    for mention, (names, examples) in zip(mentions, finder.nearest(embed(mentions)), strict=True):
        for near, most in ((names, NEAREST_NAMES), (examples, min(NEAREST_EXAMPLES, 4))):
            assert len(near.indices) == len(near.likeness) == len(set(near.indices)) == most
            assert all(before >= after for before, after in pairwise(near.likeness))
            assert all(-1.01 <= likeness <= 1.01 for likeness in near.likeness), mention
    names, _ = finder.nearest(embed(["Essential (primary) hypertension"]))[0]
    assert tiny_model.names.codes[names.indices[0]] == "I10"
    assert names.likeness[0] == pytest.approx(1, abs=0.02)
    _, examples = finder.nearest(embed(["sugar sickness"]))[0]
    assert tiny_model.examples.codes[examples.indices[0]] == ("E11.9",)


def test_what_a_name_said_is_on_its_code_and_on_the_billable_one(finder: CandidateFinder, embed: Embed) -> None:
    candidates = gathered(finder, embed, "acute appendicitis", HYPERTENSION, INFARCTION, KNEE)
    assert candidates.codes[0] == "I10"
    assert row(candidates, "I10")["KIND_EXACT"] == 1
    named, billable = row(candidates, "I21"), row(candidates, "I21.9")
    assert (named["KIND_SYNONYM"], billable["KIND_SYNONYM"]) == (1, 1)
    assert not {"AS_DEFAULT", "GUESSED", "TIED"} & named.keys()
    assert (billable["AS_DEFAULT"], billable["GUESSED"], "TIED" in billable) == (1, 1, False)
    tied = row(candidates, "M25.569")
    assert (tied["KIND_RELATED"], tied["AS_DEFAULT"], tied["TIED"], "GUESSED" in tied) == (1, 1, 1, False)
    assert not any(name.startswith("KIND_") for name in row(candidates, "K35.20"))


def test_the_nearest_of_two_names_of_one_code_counts(finder: CandidateFinder, embed: Embed) -> None:
    weaker = Found("I21", "I21.9", MatchKind.HALF, tied=True)
    candidates = gathered(finder, embed, "zzz", INFARCTION, weaker)
    assert "TIED" not in row(candidates, "I21")


def test_parents_and_defaults_of_the_best_come_along(finder: CandidateFinder, embed: Embed) -> None:
    codes = gathered(finder, embed, "unspecified fracture of the lower end of radius").codes
    assert {"S52.50", "S52.5", "S52.509A"} <= set(codes)
    assert not any(len(code) > 8 or "-" in code for code in codes)  # no blocks
    # The category's default, which no vector is near to, for a name alone.
    assert set(gathered(finder, embed, "zzz", Found("K35", "K35.80", MatchKind.EXACT)).codes) >= {"K35", "K35.80"}


def test_likeness_gap_and_share(finder: CandidateFinder, embed: Embed) -> None:
    candidates = gathered(finder, embed, "Essential (primary) hypertension")
    best = row(candidates, "I10")
    assert best["NAME"] == pytest.approx(1, abs=0.02)
    assert "NAME_GAP" not in best
    assert best["NAME_FIRST"] == 1
    assert best["NAME_SHARE"] == best["NAME_CATEGORY_SHARE"]
    features = candidates.features[:-1]
    assert features[:, Feature.NAME_FIRST].sum() == 1
    assert features[:, Feature.NAME_SHARE].sum() == pytest.approx(1, abs=1e-4)
    likeness, gap = features[:, Feature.NAME], features[:, Feature.NAME_GAP]
    np.testing.assert_allclose(likeness + gap, likeness[0], atol=1e-5)


def test_examples_are_learnt_or_of_a_dictionary(finder: CandidateFinder, embed: Embed) -> None:
    dictionary = row(gathered(finder, embed, "sugar sickness"), "E11.9")
    assert dictionary["EXAMPLE_SAME"] == 1
    assert not {"LEARNT", "LEARNT_SAME"} & dictionary.keys() or dictionary["LEARNT"] != dictionary["EXAMPLE"]
    candidates = gathered(finder, embed, "heart seizure")
    for code in ("I21", "I21.9"):
        learnt = row(candidates, code)
        assert (learnt["EXAMPLE_SAME"], learnt["LEARNT_SAME"]) == (1, 1)
        assert learnt["LEARNT"] == learnt["EXAMPLE"]
        assert learnt["POPULARITY"] == pytest.approx(np.log(2), abs=1e-5)
    assert "LEARNT_SAME" not in row(gathered(finder, embed, "wheezy chest"), "R06.2")


def test_words_that_a_name_covers(finder: CandidateFinder, embed: Embed) -> None:
    whole = row(gathered(finder, embed, "Acute myocardial infarction"), "I21")
    assert (whole["COVERED"], whole["COVERING"], whole["OVERLAP"]) == (1, 1, 1)
    part = row(gathered(finder, embed, "Acute myocardial infarction of yesterday"), "I21")
    assert part["COVERING"] == 1
    assert "COVERED" in part
    assert part["COVERED"] != 1
    assert not {"COVERED", "COVERING", "OVERLAP"} & row(gathered(finder, embed, "qqq", HYPERTENSION), "I10").keys()


FIXED = [
    ("I10", {"BILLABLE": 1}),
    ("I21", {}),
    ("I21.9", {"BILLABLE": 1, "UNSPECIFIED": 1, "DEPTH": 0.25}),
    ("I21.A9", {"BILLABLE": 1, "OTHER": 1, "DEPTH": 0.5}),
    ("R50.9", {"BILLABLE": 1, "UNSPECIFIED": 1, "SYMPTOM": 1, "DEPTH": 0.25}),
    ("S52.509A", {"BILLABLE": 1, "UNSPECIFIED": 1, "INJURY": 1, "DEPTH": 1}),
    ("O24.419", {"BILLABLE": 1, "UNSPECIFIED": 1, "RARE_CHAPTER": 1, "DEPTH": 0.75}),
]


@pytest.mark.parametrize(("code", "expected"), FIXED)
def test_what_holds_of_a_code_whatever_the_mention(
    finder: CandidateFinder, embed: Embed, code: str, expected: dict[str, float]
) -> None:
    features = row(gathered(finder, embed, "zzz", Found(code, code, MatchKind.EXACT)), code)
    fixed = ("DEPTH", "BILLABLE", "UNSPECIFIED", "OTHER", "RARE_CHAPTER", "SYMPTOM", "INJURY")
    assert {name: features[name] for name in fixed if name in features} == expected


def test_a_better_one_below_is_seen(finder: CandidateFinder, embed: Embed) -> None:
    candidates = gathered(finder, embed, "Acute myocardial infarction, unspecified")
    below = dict(zip(candidates.codes, candidates.features[:, Feature.BEST_BELOW].tolist(), strict=False))
    assert below["I21"] > 0
    assert below["I21.9"] == 0


@pytest.mark.parametrize(
    ("mention", "words", "short"),
    [("MI", 1, True), ("STEMI", 1, True), ("mi", 1, False), ("ACUTE MI", 2, False), ("a b c d e f g h i j", 8, False)],
)
def test_form_of_the_mention(finder: CandidateFinder, embed: Embed, mention: str, words: int, short: bool) -> None:
    features = gathered(finder, embed, mention).features[:-1]
    assert set(features[:, Feature.MENTION_WORDS].tolist()) == {words / 8}
    assert set(features[:, Feature.SHORT_FORM].tolist()) == {float(short)}


def test_without_names_or_examples(
    terminology: Terminology, linker: IcdLinker, tiny_model: LinkingModel, embed: Embed
) -> None:
    """A mention that nothing is near to has one row, for none of the candidates."""
    names, examples = tiny_model.names, tiny_model.examples
    no_names = replace(names, codes=[], vectors=names.vectors[:0], word_ids=names.word_ids[:0], starts=names.starts[:1])
    no_examples = replace(examples, codes=[], vectors=examples.vectors[:0], learnt=examples.learnt[:0])
    nothing = CandidateFinder(terminology, linker.defaults, no_names, no_examples)
    candidates = gathered(nothing, embed, "acute appendicitis")
    assert candidates.codes == ()
    assert candidates.features.shape == (1, FEATURES)
    assert candidates.features[0, Feature.NONE] == 1
    assert gathered(nothing, embed, "acute appendicitis", INFARCTION).codes[0] == "I21"
    by_names = CandidateFinder(terminology, linker.defaults, names, no_examples)
    assert not gathered(by_names, embed, "heart seizure").features[:, Feature.EXAMPLE].any()


WORDS = ["acute", "appendicitis", "heart", "failure", "type", "2", "diabetes", "knee", "pain", "fever", "(", "é", "MI"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join) | st.text(max_size=40))
def test_features_of_any_mention(
    finder: CandidateFinder, embed: Embed, terminology: Terminology, linker: IcdLinker, mention: str
) -> None:
    candidates = gathered(finder, embed, mention, *linker.lookup.find(mention))
    codes, features = candidates.codes, candidates.features
    assert len(set(codes)) == len(codes) >= 1
    assert all(code in terminology for code in codes)
    assert features.shape == (len(codes) + 1, FEATURES)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (features[:, Feature.NONE] == [0.0] * len(codes) + [1.0]).all()
    np.testing.assert_array_equal(features[-1, : Feature.NONE], features[:-1, : Feature.NONE].max(axis=0))
    for column in (Feature.NAME_SHARE, Feature.NAME_CATEGORY_SHARE, Feature.EXAMPLE_SHARE, Feature.COVERED):
        assert ((features[:, column] >= 0) & (features[:, column] <= 1.001)).all()
    assert (features[:, Feature.NAME_GAP] >= 0).all()
