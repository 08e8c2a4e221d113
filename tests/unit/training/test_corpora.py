import json
from pathlib import Path

import pytest

from clincode.decode import spans_of
from training.brat import Annotation, BratError, Document, convert, read_document, tagged_sentences
from training.corpora import GUIDELINES, READERS, CorpusError, read_brat, read_iob2, read_jsonl


def test_iob2_is_read_in_the_guidelines_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("No\tO\nfever\tB-Disease\n\nTook\tO\naspirin\tB-Chemical\n\n\n", encoding="utf-8")
    first, second = read_iob2(path, GUIDELINES["bc5cdr"])
    assert (first.words, first.tags) == (("No", "fever"), ("O", "B-DIAG"))
    assert second.tags == ("O", "B-MED")


@pytest.mark.parametrize(
    ("content", "line"),
    [("No\tO\nfever B-Disease\n", 2), ("a\tO\n\nb\tB-Gene\n", 3), ("a\tO\n\tO\n", 2), ("a\tO\nb\t\n", 2)],
)
def test_a_broken_line_is_named_and_not_quoted(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "broken.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"broken.tsv:{line}:") as caught:
        read_iob2(path, GUIDELINES["bc5cdr"])
    assert "fever" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_said(tmp_path: Path) -> None:
    path = tmp_path / "latin.tsv"
    path.write_bytes(b"Caf\xe9\tO\n")
    with pytest.raises(CorpusError, match="not UTF-8"):
        read_iob2(path, GUIDELINES["bc5cdr"])


TEXT = "He had severe left-sided chest pain.\nGiven aspirin 81 mg and IV fluids."


def document(annotations: dict[str, tuple[str, str]], modifiers: dict[str, list[str]]) -> Document:
    found = {}
    for key, (kind, words) in annotations.items():
        start = TEXT.index(words)
        found[key] = Annotation(start, start + len(words), kind)
    return Document(TEXT, found, modifiers)


@pytest.mark.parametrize(
    ("annotations", "modifiers", "expected"),
    [
        # A linked modifier that touches is taken in, and one that touches what was taken in.
        (
            {
                "a": ("Sign_symptom", "pain"),
                "b": ("Biological_structure", "chest"),
                "c": ("Severity", "severe"),
                "d": ("Detailed_description", "left-sided"),
            },
            {"a": ["b", "c", "d"]},
            [("DIAG", "severe left-sided chest pain")],
        ),
        # Without a link it stays outside, and an anatomy is an entity of its own.
        (
            {"a": ("Sign_symptom", "pain"), "b": ("Biological_structure", "chest")},
            {},
            [("ANAT", "chest"), ("DIAG", "pain")],
        ),
        # Linked but apart: not taken in.
        ({"a": ("Sign_symptom", "pain"), "c": ("Severity", "severe")}, {"a": ["c"]}, [("DIAG", "pain")]),
        # A dose belongs to a medication and to nothing else.
        ({"a": ("Medication", "aspirin"), "b": ("Dosage", "81 mg")}, {"a": ["b"]}, [("MED", "aspirin 81 mg")]),
        (
            {"a": ("Therapeutic_procedure", "IV fluids"), "b": ("Dosage", "81 mg")},
            {"a": ["b"]},
            [("PROC", "IV fluids")],
        ),
        # What overlaps a longer span is dropped.
        ({"a": ("Sign_symptom", "chest pain"), "b": ("Biological_structure", "chest")}, {}, [("DIAG", "chest pain")]),
        ({"a": ("Age", "81")}, {}, []),
    ],
)
def test_the_span_guideline(
    annotations: dict[str, tuple[str, str]], modifiers: dict[str, list[str]], expected: list[tuple[str, str]]
) -> None:
    converted = convert(document(annotations, modifiers))
    assert [(a.type, TEXT[a.start : a.end]) for a in converted] == expected


def test_the_corpus_own_types_stay_as_they_are() -> None:
    annotations = {
        "a": ("Sign_symptom", "pain"),
        "b": ("Biological_structure", "chest"),
        "c": ("Severity", "severe"),
        "d": ("Other_entity", "left-sided"),
    }
    found = convert(document(annotations, {"a": ["b", "c"]}), GUIDELINES["maccrobat"].tags)
    assert [(a.type, TEXT[a.start : a.end]) for a in found] == [
        ("Severity", "severe"),
        ("Biological_structure", "chest"),
        ("Sign_symptom", "pain"),
    ]


def test_a_new_line_ends_a_sentence() -> None:
    sentences = list(tagged_sentences(TEXT, [Annotation(TEXT.index("aspirin"), TEXT.index(" and"), "MED")]))
    assert [words[0] for words, _ in sentences] == ["He", "Given"]
    assert sentences[1][1][:4] == ("O", "B-MED", "I-MED", "I-MED")


def test_discontinuous_annotations_are_left_out_and_events_resolved(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("left and right arm pain", encoding="utf-8")
    (tmp_path / "a.ann").write_text(
        "T1\tBiological_structure 0 4;15 18\tleft arm\nT2\tSign_symptom 19 23\tpain\nE1\tSign_symptom:T2 \n"
        "T3\tBiological_structure 15 18\tarm\nR1\tMODIFY Arg1:T3 Arg2:E1\t\n",
        encoding="utf-8",
    )
    read = read_document(tmp_path / "a.ann")
    assert set(read.annotations) == {"T2", "T3"}
    assert [read.text[a.start : a.end] for a in convert(read)] == ["arm pain"]


@pytest.mark.parametrize(
    "line", ["T1\tSign_symptom 5\tpain", "T1\tSign_symptom 5 900\tpain", "R1\tMODIFY Arg1", "E1\t"]
)
def test_a_broken_annotation_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text("some pain here", encoding="utf-8")
    (tmp_path / "a.ann").write_text(f"T9\tAge 0 4\tsome\n{line}\n", encoding="utf-8")
    with pytest.raises(BratError, match=r"a\.ann:2"):
        read_document(tmp_path / "a.ann")


NOTE = {"id": "1", "text": "No fever.\nGiven aspirin 81mg 🤒", "entities": []}


def test_a_hospitals_own_notes(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    entities = [
        {"start": 16, "end": 28, "type": "MEDICATION"},
        {"start": 3, "end": 8, "type": "DIAG"},
    ]
    path.write_text(json.dumps({**NOTE, "entities": entities}) + "\n\n", encoding="utf-8")
    first, second = read_jsonl(path, GUIDELINES["clincode"])
    assert first.tags == ("O", "B-DIAG", "O")
    assert (second.words, second.tags) == (("Given", "aspirin", "81mg", "🤒"), ("O", "B-MED", "I-MED", "O"))


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        ({**NOTE, "entities": [{"start": 3, "end": 80, "type": "DIAG"}]}, r"entities\[0\] does not lie"),
        ({**NOTE, "entities": [{"start": 3, "end": 8, "type": "GENE"}]}, r"entities\[0\]\.type"),
        (
            {**NOTE, "entities": [{"start": 3, "end": 8, "type": "DIAG"}, {"start": 0, "end": 4, "type": "MED"}]},
            "overlap",
        ),
        ({"text": "x"}, "not an annotated note"),
        ([1], "not an annotated note"),
    ],
)
def test_a_broken_note_is_named_by_line(tmp_path: Path, note: object, fault: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps(NOTE) + "\n" + json.dumps(note) + "\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"notes\.jsonl:2: .*{fault}"):
        read_jsonl(path, GUIDELINES["clincode"])


@pytest.fixture
def hub_data_set(tmp_path: Path) -> Path:
    folder = tmp_path / "tner" / "bc5cdr"
    (folder / "dataset").mkdir(parents=True)
    labels = {"O": 0, "B-Chemical": 1, "B-Disease": 2, "I-Disease": 3, "I-Chemical": 4}
    (folder / "dataset" / "label.json").write_text(json.dumps(labels), encoding="utf-8")
    lines = [
        {"tokens": ["Heparin", "caused", "severe", "bleeding"], "tags": [1, 0, 2, 3]},
        {"tokens": ["None"], "tags": [0]},
    ]
    (folder / "dataset" / "valid.json").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder


def test_a_data_set_of_the_hub(hub_data_set: Path) -> None:
    first, second = READERS["hub"](hub_data_set / "devel", GUIDELINES["bc5cdr"])
    assert first.words == ("Heparin", "caused", "severe", "bleeding")
    assert first.tags == ("B-MED", "O", "B-DIAG", "I-DIAG")
    assert second.tags == ("O",)


def test_faults_of_a_hub_data_set_are_named(hub_data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CorpusError, match="no split"):
        READERS["hub"](hub_data_set / "training", GUIDELINES["bc5cdr"])
    with pytest.raises(CorpusError, match=r"no train\.json"):
        READERS["hub"](hub_data_set / "train", GUIDELINES["bc5cdr"])
    with pytest.raises(CorpusError, match=r"valid\.json:1: expected tokens and tags of 'ncbi_disease'"):
        READERS["hub"](hub_data_set / "devel", GUIDELINES["ncbi_disease"])


@pytest.mark.corpus
@pytest.mark.parametrize("split", ["train", "devel"])
def test_converting_maccrobat_gives_its_published_iob2(data_dir: Path, split: str) -> None:
    guideline = GUIDELINES["clincode"]
    ours = read_brat(data_dir / "maccrobat" / split, guideline)
    theirs = read_iob2(data_dir / "maccrobat" / f"{split}.iob2.tsv", guideline)
    spans = {(s.words, spans_of(s.tags)) for s in theirs}
    assert len(ours) == len(theirs)
    assert {(s.words, spans_of(s.tags)) for s in ours} == spans
