import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from training.confusion import entity_confusion, token_confusion
from training.corpora import GUIDELINES, TaggedSentence
from training.evaluate_ner import score_tags
from training.ner_report import read_history, write_ner_report

GUIDELINE = GUIDELINES["clincode"]
SENTENCES = [
    TaggedSentence(("Severe", "<b>grelk</b>", ",", "zorvadine"), ("B-DIAG", "I-DIAG", "O", "B-MED")),
    TaggedSentence(("Quorbic", "scan"), ("B-TEST", "I-TEST")),
    TaggedSentence(("Nothing", "plimsome"), ("O", "O")),
]
PREDICTED = [["O", "B-DIAG", "O", "B-TEST"], ["O", "O"], ["O", "B-ANAT"]]
WORDS = [word for sentence in SENTENCES for word in sentence.words]
HISTORY = [{"epoch": 1, "loss": 0.5, "devel_f1": 0.4}, {"epoch": 2, "loss": 0.3, "devel_f1": 0.5}]


def report(tmp_path: Path, **options: Any) -> str:
    path = tmp_path / "report.html"
    scores = score_tags(PREDICTED, SENTENCES, GUIDELINE)
    data = {"sentences": SENTENCES, "predicted": PREDICTED, "guideline": GUIDELINE, "scores": scores}
    write_ner_report(path, title="A <model>", **data, **options)
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def test_figures_are_embedded_and_have_their_texts(tmp_path: Path) -> None:
    images = Tags(report(tmp_path)).all("img")
    assert len(images) == 4
    for image in images:
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert image["alt"]


def test_the_curves_of_a_run_are_a_fifth_figure(tmp_path: Path) -> None:
    html = report(tmp_path, history=HISTORY)
    assert len(Tags(html).all("img")) == 5
    assert "0.5000" in html


def test_a_run_without_a_finished_epoch_has_an_empty_figure(tmp_path: Path) -> None:
    assert len(Tags(report(tmp_path, history=[])).all("img")) == 5


def test_the_file_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    html = report(tmp_path, history=HISTORY, examples=True)
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(|<script""", html)


def test_every_system_has_its_table(tmp_path: Path) -> None:
    baseline = score_tags([s.tags for s in SENTENCES], SENTENCES, GUIDELINE)
    html = report(tmp_path, baselines={"an oracle": baseline}, system="a guesser")
    assert "<h3>a guesser</h3>" in html
    assert "<h3>an oracle</h3>" in html
    assert html.count("<td>micro</td>") == 2
    assert "<td>1.000</td>" in html


def test_no_text_of_the_corpus_unless_examples_are_asked_for(tmp_path: Path) -> None:
    html = re.sub(r"base64,[^\"]*", "", report(tmp_path, history=HISTORY))
    assert not [word for word in WORDS if word.isalpha() and re.search(rf"\b{word}\b", html)]


def test_examples_show_the_sentence_and_both_readings_escaped(tmp_path: Path) -> None:
    html = report(tmp_path, examples=True)
    assert "<ins>Severe &lt;b&gt;grelk&lt;/b&gt; [DIAG]</ins>" in html
    assert "<ins>&lt;b&gt;grelk&lt;/b&gt; [DIAG]</ins>" in html
    assert "<ins>plimsome [ANAT]</ins>" in html
    assert "A &lt;model&gt;" in html


def test_predictions_of_other_types_are_left_out(tmp_path: Path) -> None:
    guideline = GUIDELINES["ncbi_disease"]
    sentences = [TaggedSentence(("plimsome", "grelk"), ("O", "B-DIAG"))]
    predicted = [["B-MED", "B-DIAG"]]
    path = tmp_path / "report.html"
    scores = score_tags(predicted, sentences, guideline)
    data = {"sentences": sentences, "predicted": predicted, "guideline": guideline, "scores": scores}
    write_ner_report(path, title="", examples=True, **data)  # type: ignore[arg-type]
    assert "plimsome" not in path.read_text(encoding="utf-8")


def test_token_confusion() -> None:
    counts = token_confusion([["B-DIAG", "I-DIAG", "O"]], [["B-DIAG", "B-MED", "I-MED"]], ["DIAG", "MED"])
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("gold", "predicted", "pairs"),
    [
        (["B-D", "I-D"], ["O", "B-D"], {("D", "D")}),  # the boundaries are not looked at
        (["B-D", "I-D"], ["O", "B-M"], {("D", "M")}),
        (["B-D", "O"], ["O", "B-M"], {("D", "none"), ("none", "M")}),
        (["B-D", "I-D", "B-M"], ["O", "B-D", "I-D"], {("M", "D"), ("D", "none")}),  # each is used once
        (["B-M", "B-D"], ["B-D", "I-D"], {("D", "D"), ("M", "none")}),  # of equal shares, the same type
        (["B-D", "I-D", "I-D"], ["B-M", "B-D", "I-D"], {("D", "D"), ("none", "M")}),  # the largest share counts
    ],
)
def test_entity_confusion(gold: list[str], predicted: list[str], pairs: set[tuple[str, str]]) -> None:
    names = ["D", "M", "none"]
    counts = entity_confusion([gold], [predicted], ["D", "M"])
    assert {(names[row], names[column]) for row, column in zip(*counts.nonzero(), strict=True)} == pairs
    assert counts.sum() == len(pairs)


def test_the_history_of_a_run_is_its_epochs(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"epoch": 1, "step": 50, "loss": 0.9, "lr": 0.1}\n'
        '{"epoch": 1, "loss": 0.5, "devel_f1": 0.4, "seconds": 9}\n'
        '{"epoch": 2, "loss": 0.4, "devel_f1": 0.5, "seconds": 9}\n'
        '{"epoch": 2, "loss": 0.3, "devel_f1": 0.6, "seconds": 9}\n'
    )
    assert [(line["epoch"], line["loss"]) for line in read_history(tmp_path)] == [(1, 0.5), (2, 0.3)]


def test_a_line_of_a_log_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\nloss\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: "):
        read_history(tmp_path)
