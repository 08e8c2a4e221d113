"""The simple rankers on a small list, and the shares that they are scored by."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from clincode.icd import Terminology, build_terminology
from clincode.icd.terminology import TabularList
from training.evaluate_icd import LinkingRecord, read_records
from training.icd_baselines import TfidfRanker, exact_ranker, memory_ranker, names_of, score_codes

CODES = {
    "Chapter 9": "Diseases of the circulatory system",
    "I20-I25": "Ischemic heart diseases",
    "I21": "Acute myocardial infarction",
    "I21.9": "Acute myocardial infarction, unspecified",
    "I50": "Heart failure",
    "I50.9": "Heart failure, unspecified",
    "S52.5": "Fracture of lower end of radius",
    "W19": "Unspecified fall",
}


@pytest.fixture
def small() -> Terminology:
    return Terminology(
        TabularList(
            release="April 1999",
            codes=tuple(CODES),
            titles=tuple(CODES.values()),
            parents=(-1, 0, 1, 2, 1, 4, 1, 1),
            seventh=({"A": "initial encounter", "D": "subsequent encounter"},),
            extended={"S52.5": (0, "AD"), "W19": (0, "AD")},
            notes={
                "inclusion_terms": {"I21.9": ["Myocardial infarction (acute) NOS"], "I50": ["Cardiac failure NOS"]},
                "includes": {"I21": ["cardiac infarction"]},
            },
        )
    )


def record(mention: str, *gold: str) -> LinkingRecord:
    return LinkingRecord(mention, frozenset(gold))


def test_names_are_titles_and_inclusion_terms_of_listed_codes(small: Terminology) -> None:
    assert list(names_of(small))[:3] == [
        ("I21", "Acute myocardial infarction"),
        ("I21.9", "Acute myocardial infarction, unspecified"),
        ("I21.9", "Myocardial infarction (acute) NOS"),
    ]
    assert {code for code, _ in names_of(small)} == {"I21", "I21.9", "I50", "I50.9", "S52.5", "W19"}


@pytest.mark.parametrize(
    ("mention", "codes"),
    [
        ("HEART failure", ["I50", "I50.9"]),
        ("heart  failure, unspecified", ["I50", "I50.9"]),
        ("myocardial infarction acute nos", ["I21.9"]),
        ("unspecified fall", ["W19"]),
        ("failure", []),
        ("cardiac infarction", []),
        ("Fracture of lower end of radius, initial encounter", []),
        ("", []),
    ],
)
def test_exact_match(small: Terminology, mention: str, codes: list[str]) -> None:
    assert exact_ranker(small)(mention) == codes


def test_memory_has_the_most_frequent_code_first_and_falls_back(small: Terminology) -> None:
    train = [record("CHF", "I50.9"), record("chf", "I50", "I50.9"), record("heart failure", "X99")]
    ranker = memory_ranker(train, exact_ranker(small))
    assert ranker("Chf") == ["I50.9", "I50"]
    assert ranker("Heart Failure") == ["X99"]
    assert ranker("acute myocardial infarction") == ["I21", "I21.9"]
    ranker("chf").append("X00")
    assert ranker("chf") == ["I50.9", "I50"]


@pytest.mark.parametrize("sizes", [(2, 4), (3, 5)])
def test_tfidf_ranks_by_likeness(small: Terminology, sizes: tuple[int, int]) -> None:
    ranker = TfidfRanker(small, sizes=sizes)
    assert ranker("heart failures")[:2] == ["I50", "I50.9"]
    assert ranker("radial fractures")[0] == "S52.5"
    assert ranker("infarcted myocardium")[0] in ("I21", "I21.9")
    assert ranker("qqqq") == ranker("") == []
    assert TfidfRanker(small, sizes=sizes, limit=1)("heart failures") == ["I50"]


def test_tfidf_is_the_cosine(small: Terminology) -> None:
    """Beside a plain computation with dictionaries, on n-grams of three letters."""
    import math
    from collections import Counter

    def grams(text: str) -> Counter[str]:
        padded = [f" {word} " for word in text.lower().replace("(", "").replace(")", "").split()]
        return Counter(word[i : i + 3] for word in padded for i in range(len(word) - 2))

    names = [(code, grams(name.removesuffix(", unspecified"))) for code, name in names_of(small)]
    seen = Counter(gram for _, counts in names for gram in counts)
    idf = {gram: math.log((1 + len(names)) / (1 + count)) + 1 for gram, count in seen.items()}
    mention = "acute failure of the heart"
    asked = {gram: count * idf[gram] for gram, count in grams(mention).items() if gram in idf}
    cosine: dict[str, float] = {}
    for code, counts in names:
        vector = {gram: count * idf[gram] for gram, count in counts.items()}
        dot = sum(weight * vector.get(gram, 0.0) for gram, weight in asked.items())
        cosine[code] = max(cosine.get(code, 0.0), dot / math.hypot(*vector.values()))
    expected = [code for code in sorted(cosine, key=cosine.__getitem__, reverse=True) if cosine[code] > 0]
    assert TfidfRanker(small, sizes=(3, 3), limit=9)(mention) == expected


def test_scores() -> None:
    records = [record("a", "I50", "I50.9"), record("b", "I21.9"), record("c", "W19"), record("d", "E11.9")]
    ranked = [["I50.9"], ["I21", "I50", "I21.9"], [], ["A00", "A01", "A02", "A03", "A04", "E11.9"]]
    scores = score_codes(records, ranked)
    assert scores.figures() == {
        "code@1": 0.25,
        "category@1": 0.5,
        "code@5": 0.5,
        "category@5": 0.5,
        "abstained": 0.25,
        "n": 4,
    }
    with pytest.raises(ValueError, match="no records"):
        score_codes([], [])
    with pytest.raises(ValueError, match="shorter"):
        score_codes(records, ranked[:3])


def test_the_rivals_process_is_spoken_to_in_lines(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script("bench_icd")
    said: list[str] = []

    def run(command: list[object], *, input: str, **_: object) -> subprocess.CompletedProcess[str]:
        said.extend(input.splitlines())
        return subprocess.CompletedProcess(command, 0, '{"codes": ["I50"]}\n{"codes": []}\n')

    monkeypatch.setattr(bench.subprocess, "run", run)
    assert bench.rival_codes(tmp_path, [record("CHF"), record("a\nb")]) == [["I50"], []]
    assert said == ['{"mention": "CHF"}', '{"mention": "a\\nb"}']


@pytest.mark.corpus
def test_the_published_figures_come_out(data_dir: Path) -> None:
    """../shared/data/README.md: exact 0.132 and 0.139 on devel_unseen; memory, then exact, 0.661 on all of devel."""
    folder = data_dir / "icd_linking"
    train, devel, unseen = (
        list(read_records(folder / f"bc5cdr_{name}.jsonl")) for name in ("train", "devel", "devel_unseen")
    )
    exact = exact_ranker(build_terminology())
    first = score_codes(unseen, [exact(each.mention) for each in unseen]).hits
    assert (round(first["code@1"], 3), round(first["category@1"], 3)) == (0.132, 0.139)
    memory = memory_ranker(train, exact)
    assert round(score_codes(devel, [memory(each.mention) for each in devel]).hits["code@1"], 3) == 0.661
