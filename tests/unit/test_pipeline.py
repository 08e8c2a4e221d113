"""The whole way through, with a random network: order, isolation of faults, exact offsets, batch equal to single."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import clincode.pipeline
from clincode.config import ModelConfig
from clincode.errors import AnalysisError
from clincode.icd import Coder, IcdLinker
from clincode.model import BertForClinicalNER, NerEngine
from clincode.pipeline import Pipeline
from clincode.types import Analysis, FloatArray, Note, Window
from clincode.windows import Windower

SECRET = "quixotic"
TEXTS = (
    "ASSESSMENT: Acute myocardial infarction.\nDenies fever, chills or night sweats.",
    f"Patient {SECRET} took aspirin 81mg.",
    "No evidence of pneumonia. " * 40,
)


@pytest.fixture(scope="module")
def pipeline(
    tiny_config: ModelConfig, tiny_network: BertForClinicalNER, tokenizer_file: object, linker: IcdLinker
) -> Pipeline:
    windower = Windower(
        Tokenizer.from_file(str(tokenizer_file)), max_tokens=tiny_config.max_tokens, overlap=tiny_config.overlap
    )
    return Pipeline(tiny_config, windower, NerEngine(tiny_network, device="cpu", precision="fp32"), linker)


def notes(texts: Sequence[str]) -> list[Note]:
    return [Note(str(index), text) for index, text in enumerate(texts)]


def test_results_come_in_the_order_of_the_notes(pipeline: Pipeline) -> None:
    results = pipeline.analyze_batch(notes(TEXTS))
    assert [r.note.note_id for r in results if isinstance(r, Analysis)] == ["0", "1", "2"]
    assert set(results[0].statistics.stage_ms) >= {"sections", "windows", "model", "decode", "assertions", "codes"}


def test_no_notes_no_results(pipeline: Pipeline) -> None:
    assert pipeline.analyze_batch([]) == []


@pytest.mark.parametrize(
    ("owner", "stage"),
    [
        (clincode.pipeline, "split_sentences"),
        (clincode.pipeline, "assert_context"),
        (clincode.pipeline, "merge_windows"),
        (Coder, "code"),
    ],
)
def test_a_fault_in_one_note_leaves_its_neighbours_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, owner: object, stage: str
) -> None:
    alone = [pipeline.analyze(note) for note in notes(TEXTS)]
    original = getattr(owner, stage)
    marks = {id(pipeline._windower.encode(TEXTS[1]))}

    def faulty(*arguments: object) -> object:
        if SECRET in repr(arguments) or _is_second(pipeline, arguments):
            raise RuntimeError(f"cannot handle {SECRET}")
        return original(*arguments)

    assert marks
    monkeypatch.setattr(owner, stage, faulty)
    results = pipeline.analyze_batch(notes(TEXTS))
    assert isinstance(results[1], AnalysisError)
    assert SECRET not in str(results[1]) + str(results[1].body)
    assert "RuntimeError" in str(results[1])
    for index in (0, 2):
        result = results[index]
        assert isinstance(result, Analysis)
        assert [(e.span.start, e.span.end, e.span.type) for e in result.entities] == [
            (e.span.start, e.span.end, e.span.type) for e in alone[index].entities
        ]


def _is_second(pipeline: Pipeline, arguments: Sequence[object]) -> bool:
    """Stages that see no text are recognised by the words of the second note."""
    return any(argument == pipeline._windower.encode(TEXTS[1]) for argument in arguments)


def test_a_network_that_fails_on_one_note_fails_on_that_note_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = set(pipeline._windower.encode(TEXTS[1]).windows)
    original = NerEngine.logits

    def out_of_memory(engine: NerEngine, windows: Sequence[Window], **options: str) -> list[FloatArray]:
        if bad & set(windows):
            raise MemoryError
        return original(engine, windows, **options)

    monkeypatch.setattr(NerEngine, "logits", out_of_memory)
    kinds = [type(result) for result in pipeline.analyze_batch(notes(TEXTS))]
    assert kinds == [Analysis, AnalysisError, Analysis]


pieces = st.sampled_from(
    [
        "Denies fever",
        "BP 120/80",
        "\r\n",
        "\n\n",
        "\t",
        "\u00a0",
        "e\u0301",
        "🤒👩‍⚕️",
        "1. Asthma",
        "HPI:",
        ",",
        " ",
        "MS",
        "\u200b",
        "ﬁ",
    ]
)
any_note = (st.lists(pieces, min_size=1, max_size=40).map("".join) | st.text(min_size=1, max_size=200)).filter(
    str.strip
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_note, min_size=1, max_size=4))
def test_offsets_are_exact_and_a_batch_answers_like_single_notes(pipeline: Pipeline, texts: list[str]) -> None:
    for result, note in zip(pipeline.analyze_batch(notes(texts)), notes(texts), strict=True):
        assert isinstance(result, Analysis), result
        spans = [entity.span for entity in result.entities]
        assert [e.text for e in result.entities] == [note.text[s.start : s.end] for s in spans]
        assert all(before.end <= after.start for before, after in itertools.pairwise(spans))
        assert all("\n" not in entity.text for entity in result.entities) or "\n" in note.text
        single = pipeline.analyze(note)
        assert [(s.start, s.end, s.type) for s in spans] == [
            (e.span.start, e.span.end, e.span.type) for e in single.entities
        ]
        for together, alone in zip(result.entities, single.entities, strict=True):
            assert together.span.confidence == pytest.approx(alone.span.confidence, abs=1e-3)
            assert (together.assertion, together.icd_codes) == (alone.assertion, alone.icd_codes)
