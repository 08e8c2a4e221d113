"""What a coder types → codes that must stand among the first three; and what holds for any text."""

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.icd import Terminology
from clincode.icd.search import CodeSearch, Hit, find_code
from clincode.icd.terminology import TabularList
from clincode.icd.word_index import WordIndex, essential_words, one_edit

AMONG_THE_FIRST_THREE = [
    ("hypertension", "I10"),
    ("high blood pressure", "I10"),
    ("type 2 diabetes", "E11"),
    ("type II diabetes mellitus", "E11.9"),
    ("diabetes with ketoacidosis type 1", "E10.1"),
    ("pneumonia", "J18.9"),
    ("heart failure", "I50.9"),
    ("cardiac failure congestive", "I50.9"),
    ("myocardial infarction", "I21.9"),
    ("stroke", "I63.9"),
    ("chest pain", "R07.9"),
    ("pain in knee", "M25.56"),
    ("low back pain", "M54.5"),
    ("urinary tract infection", "N39.0"),
    ("iron deficiency anaemia", "D50.9"),
    ("vitamin B12 deficiency", "E53.8"),
    ("hepatitis A", "B15"),
    ("Crohn's disease", "K50"),
    ("parkinson’s", "G20"),
    ("gastro-oesophageal reflux", "K21.9"),
    ("breast cancer", "C50"),
    ("renal calculus", "N20.0"),
    ("end stage renal disease", "N18.6"),
    ("macular degeneration", "H35.30"),
    ("family history of breast cancer", "Z80.3"),
    ("long term use of insulin", "Z79.4"),
    ("ankle sprain", "S93.4"),
    ("fracture of lower end of radius", "S52.5"),
    ("sucked into jet engine", "V97.33"),
    ("dog bite", "W54.0"),
    # As patients say it, where the list does too.
    ("hay fever", "J30.1"),
    ("chickenpox", "B01"),
    ("whooping cough", "A37"),
    ("nosebleed", "R04.0"),
    ("athlete's foot", "B35.3"),
    ("piles", "K64"),
    ("panic attack", "F41.0"),
    ("kidney stones", "N20.0"),
    ("shingles", "B02"),
    ("common cold", "J00"),
    # Not typed to the end.
    ("asth", "J45.909"),
    ("myocardial infarc", "I21.9"),
    ("iron defi", "E61.1"),
    ("atrial fib", "I48.91"),
    ("haemorrh", "R58"),
    # One letter wrong.
    ("pnuemonia", "J18.9"),
    ("diarhea", "R19.7"),
    ("migrane", "G43.909"),
    ("appendicits", "K37"),
    ("hemorroids", "K64.9"),
    ("tonsilitis", "J03.90"),
    ("measels", "B05.9"),
    ("brest cancer", "C50"),
    ("sever asthma", "J45.5"),
    # The start of a code, however it is written.
    ("E11.2", "E11.2"),
    ("e112", "E11.21"),
    (" i21.9 ", "I21.9"),
    ("S52.5-", "S52.50"),
    ("s52501a", "S52.501A"),
    ("S00.00X", "S00.00XD"),
    ("T4", "T40"),
    ("I20-I25", "I20"),
    ("chapter 9", "I00"),
    # The whole title of a code that a 7th character completes.
    ("Unspecified fracture of the lower end of right radius, initial encounter for closed fracture", "S52.501A"),
    ("nonexudative macular degeneration bilateral early dry stage", "H35.3131"),
    ("concussion sequela", "S06.0X0S"),
]
NOTHING = [
    *("", " ", ".", "-", "of the", "unspecified", "NOS", "gibberish", "zzzzzz pain", "Z99.99", "A1C", "42 pain 4242"),
    *("🤒", "\x00", "(((", "[", "%", "\ud800", "pain " * 100, "e11.2 neuropathy"),
]


@pytest.fixture(scope="module")
def search(terminology: Terminology) -> CodeSearch:
    return CodeSearch(terminology)


@pytest.fixture
def small(small_list: TabularList) -> CodeSearch:
    return CodeSearch(Terminology(small_list), {"Heart attack": "I21.9", "fall": "W19"})


def codes(hits: Iterable[Hit]) -> list[str]:
    return [hit.code for hit in hits]


@pytest.mark.parametrize(("query", "code"), AMONG_THE_FIRST_THREE)
def test_among_the_first_three(search: CodeSearch, query: str, code: str) -> None:
    assert code in codes(search.search(query, limit=3))


@pytest.mark.parametrize("query", NOTHING)
def test_nothing_fits(search: CodeSearch, query: str) -> None:
    assert search.search(query) == ()


def test_a_hit_says_what_it_is(small: CodeSearch) -> None:
    [first, second] = small.search("infarct")
    assert (first.code, first.title, first.billable) == ("I21.9", "Acute infarction, unspecified", True)
    assert (first.term, first.children) == ("Infarction NOS", 0)
    assert (second.code, second.term, second.billable, second.children) == ("I21", "Acute infarction", False, 1)
    assert first.score > second.score


def test_titles_above_count_and_groups_are_no_hits(small: CodeSearch) -> None:
    assert codes(small.search("ischemic infarction")) == ["I21.9", "I21"]
    assert codes(small.search("lower forearm")) == ["S52.5"]
    assert "I20-I25" not in codes(small.search("ischemic"))


def test_further_names(small: CodeSearch) -> None:
    assert [(hit.code, hit.term) for hit in small.search("heart attack")] == [("I21.9", "Heart attack")]
    assert small.search("fall") == ()


def test_a_7th_character_is_found_where_it_is_said_or_asked_for(small: CodeSearch) -> None:
    assert codes(small.search("lower end")) == ["S52.5"]
    assert codes(small.search("lower end, subsequent")) == ["S52.5XXD"]
    assert codes(small.search("lower end encounter")) == ["S52.5XXA", "S52.5XXD"]
    assert codes(small.search("lower end", billable_only=True)) == ["S52.5XXA", "S52.5XXD"]
    assert small.search("lower end, sequela") == ()


def test_below_the_start_of_a_code_7th_characters_come_last(search: CodeSearch, terminology: Terminology) -> None:
    below = codes(search.search("S52.5", limit=10_000))
    assert below[:3] == ["S52.5", "S52.50", "S52.501"]
    assert set(below) == {"S52.5", *terminology.descendants("S52.5")}
    assert len(below) == len(set(below))
    whole = [len(code) == 8 for code in below]
    assert whole == sorted(whole)
    billable = codes(search.search("S52.5", limit=10_000, billable_only=True))
    assert billable == [code for code in below if terminology.is_billable(code)]


def test_a_block_lists_its_codes(search: CodeSearch, terminology: Terminology) -> None:
    assert codes(search.search("i20-i25", limit=10_000)) == ["I20-I25", *terminology.descendants("I20-I25")]
    assert codes(search.search("S50-S59", limit=1, billable_only=True)) == ["S50.00XA"]


@pytest.mark.parametrize("query", ["pain", "E11", "S52.5", "fracture", "diabete"])
def test_limit_cuts(search: CodeSearch, query: str) -> None:
    whole = search.search(query, limit=12)
    assert len(whole) == 12
    for limit in (-1, 0, 1, 5):
        assert search.search(query, limit=limit) == whole[: max(limit, 0)]


PARTS = """acute chronic left pain of in the heart kidney failure with due fracture neoplasm (mild) [HIV] type II 2
    diabetes canc carcinoma mellitus initial encounter pnuemonia a E11 e11. S52.501 s525 I20-I25 Chapter 9 - . , 's"""
TYPED = st.lists(st.sampled_from(PARTS.split()), max_size=6).map(" ".join)


@given(st.one_of(st.text(), TYPED), st.booleans())
def test_any_text_gets_codes_of_the_release_best_first(search: CodeSearch, query: str, billable_only: bool) -> None:
    hits = search.search(query, billable_only=billable_only)
    assert hits == search.search(query, billable_only=billable_only)
    assert len(set(codes(hits))) == len(hits) <= 20
    for hit in hits:
        assert hit.code in search.terminology
        assert hit.title == search.terminology.title(hit.code)
        assert hit.billable is search.terminology.is_billable(hit.code)
        assert hit.billable or not billable_only
        assert hit.children == len(search.terminology.children(hit.code))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_titles_lead_to_their_codes(search: CodeSearch, terminology: Terminology) -> None:
    sample = list(terminology.base_codes())[::197]
    # Three titles in a hundred stand at a code and at the one below it, or differ only in words that say nothing.
    found = sum(code in codes(search.search(terminology.title(code), limit=5)) for code in sample)
    assert found / len(sample) > 0.97


def test_searching_is_fast(terminology: Terminology) -> None:
    start = time.process_time()
    search = CodeSearch(terminology)
    assert time.process_time() - start < 6.0
    start = time.process_time()
    for query, _ in AMONG_THE_FIRST_THREE:
        search.search(query)
    assert (time.process_time() - start) / len(AMONG_THE_FIRST_THREE) < 0.02


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("I21.9", "I21.9"), ("i219", "I21.9"), (" s52501a", "S52.501A"), ("E11", "E11"), ("E11.2-", "E11.2")),
        *(("i20-i25", "I20-I25"), ("CHAPTER  9", "Chapter 9"), ("chapter 99", None), ("E1", None), ("", None)),
        *(("I21.99", None), ("heart", None), ("E11.2 E11.3", None)),
    ],
)
def test_find_code(terminology: Terminology, text: str, code: str | None) -> None:
    assert find_code(terminology, text) == code


@pytest.mark.parametrize(
    ("name", "essential", "spare"),
    [
        ("Essential (primary) hypertension", {"essential", "hypertension"}, {"primary"}),
        ("Pneumonia, unspecified organism", {"pneumonia"}, {"organism"}),
        ("Cystitis, site not specified", {"cystitis"}, {"site", "not", "specified"}),
        ("Diabetes mellitus without complications", {"diabetes"}, {"mellitus", "without", "complication"}),
        ("Leprosy [Hansen's disease]", {"leprosy"}, {"hansen", "disease"}),
        # A word that stands outside the brackets as well.
        ("Pain (chronic pain)", {"pain"}, {"chronic"}),
        ("(Acute)", {"acute"}, set()),
        ("of the", set(), set()),
    ],
)
def test_essential_words(name: str, essential: set[str], spare: set[str]) -> None:
    words = essential_words(name)
    assert {word for word, needed in words.items() if needed} == essential
    assert {word for word, needed in words.items() if not needed} == spare


def test_the_index_finds_words_beginnings_and_misspellings() -> None:
    index = WordIndex(["Kidney stone", "Renal calculi", "Calcification", "Malignant neoplasm of kidney", "Neoplasm"])
    assert index.having("kidney").names.tolist() == [0, 3]
    assert index.having("kid").names.tolist() == []
    assert sorted(index.starting("calc").names.tolist()) == [1, 2]
    assert index.near("kindey").names.tolist() == [0, 3]
    assert index.near("neopalsmx").names.tolist() == []
    assert index.near("malgn", unfinished=True).names.tolist() == [3]
    assert 1 in index.alike("kidney").names
    assert set(index.alike("renal").names) == {0, 1, 3}
    carcinoma = index.alike("carcinoma")
    assert (carcinoma.names.tolist(), carcinoma.covers.tolist()) == ([3], [2])


@given(st.text("abcxyz", min_size=1, max_size=8), st.data())
def test_one_edit_away_is_mutual(word: str, data: st.DataObject) -> None:
    edited = data.draw(st.sampled_from(sorted(set(one_edit(word)))))
    assert edited != word
    assert word in set(one_edit(edited))
