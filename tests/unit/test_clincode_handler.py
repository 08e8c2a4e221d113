"""The handler alone, with TorchServe's own context and metrics and a pipeline that does as it is told."""

import importlib.util
import json
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ts.context import Context, RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.utils.util import list_classes_from_module

from clincode.errors import AnalysisError
from clincode.labels import EntityType
from clincode.types import Analysis, Assertion, Entity, Note, NoteStatistics, Span

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Zweihundert Aerzte husten im Nebel"


def load_handler() -> ModuleType:
    """The module as TorchServe imports it: from its file, not as part of a package."""
    spec = importlib.util.spec_from_file_location("clincode_handler", ROOT / "handler" / "clincode_handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HANDLER = load_handler()


class FakePipeline:
    """Finds the first word of every note; ``fault`` may raise, or give a note another result."""

    version = "bert-clinical-ner-v9.9.9"
    precision = "fp32"

    def __init__(self, fault: Callable[[Note], Any] = lambda _: None) -> None:
        self._fault = fault
        self.batches: list[int] = []

    def analyze(self, note: Note) -> Any:
        return self.analyze_batch([note])[0]

    def analyze_batch(self, notes: Sequence[Note]) -> list[Any]:
        self.batches.append(len(notes))
        return [self._fault(note) or analysis(note) for note in notes]


def analysis(note: Note) -> Analysis:
    word = note.text.split()[0]
    entity = Entity(word, Span(0, len(word), EntityType.DIAGNOSIS, 0.75), Assertion(), None)
    return Analysis(note, (entity,), statistics=NoteStatistics({"model": 12.5, "decode": 0.25}, 0.75, 0.125, 0.5))


def request(text: str = "Fever since Monday.", **changes: Any) -> dict[str, Any]:
    return {"note_id": str(uuid.uuid4()), "note_text": text, "note_type": "progress_note", **changes}


def context_for(batch: int, folder: Path = ROOT, config: Any = None) -> Context:
    metrics = MetricsCacheYamlImpl(str(ROOT / "config" / "metrics.yaml"))
    metrics.initialize_cache()
    metrics.model_name = "bert-clinical-ner"
    context = Context("bert-clinical-ner", str(folder), {}, 8, None, "0.12.0", True, metrics, config)
    context.request_ids = metrics.request_ids = {index: f"request-{index}" for index in range(batch)}
    context.request_processor = [RequestProcessor({}) for _ in range(batch)]
    return context


def handle(pipeline: FakePipeline, *bodies: Any, context: Context | None = None) -> list[tuple[int, Any]]:
    """Status and parsed answer of each body in one batch."""
    handler = HANDLER.ClincodeHandler()
    handler._pipeline = pipeline
    context = context or context_for(len(bodies))
    answers = handler.handle([{"body": body} for body in bodies], context)
    assert [context.get_response_content_type(index) for index in range(len(bodies))] == ["application/json"] * len(
        bodies
    )
    return [(context.get_response_status(index)[0], json.loads(answer)) for index, answer in enumerate(answers)]


def test_torchserve_finds_the_one_class() -> None:
    assert list_classes_from_module(HANDLER) == [HANDLER.ClincodeHandler]


@pytest.mark.parametrize(
    "form", [dict, json.dumps, lambda body: json.dumps(body).encode()], ids=["dict", "str", "bytes"]
)
def test_body_in_every_form_that_torchserve_gives(form: Callable[[dict[str, Any]], Any]) -> None:
    sent = request()
    [(status, answer)] = handle(FakePipeline(), form(sent))
    assert status == 200
    assert answer["note_id"] == sent["note_id"]
    assert answer["entities"][0]["text"] == "Fever"
    assert answer["model_version"] == FakePipeline.version


def test_a_batch_goes_through_the_pipeline_together_and_stays_in_order() -> None:
    pipeline = FakePipeline()
    bodies = [request(f"Note{index} is long.") for index in range(8)]
    bodies[2] = request("")
    bodies[5] = request(note_id="x")
    answers = handle(pipeline, *bodies)
    assert pipeline.batches == [6]
    assert [status for status, _ in answers] == [200, 200, 422, 200, 200, 422, 200, 200]
    assert [a["entities"][0]["text"] for s, a in answers if s == 200] == [f"Note{i}" for i in (0, 1, 3, 4, 6, 7)]
    assert answers[2][1]["error"]["field"] == "note_text"
    assert answers[5][1]["error"]["field"] == "note_id"


def test_a_note_that_the_pipeline_cannot_take_fails_alone() -> None:
    def fault(note: Note) -> Any:
        return AnalysisError("decode", "ValueError") if "bad" in note.text else None

    answers = handle(FakePipeline(fault), request(), request("bad"), request())
    assert [status for status, _ in answers] == [200, 500, 200]
    assert answers[1][1]["error"]["code"] == "analysis_failed"


def test_an_answer_that_cannot_be_built_fails_alone() -> None:
    broken: Any = (None,)
    answers = handle(
        FakePipeline(lambda n: Analysis(n, broken) if "bad" in n.text else None), request(), request("bad")
    )
    assert [status for status, _ in answers] == [200, 500]
    assert answers[1][1]["error"]["code"] == "internal_error"


def test_a_fault_of_the_whole_batch_tells_neither_client_nor_log_what_the_note_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault(note: Note) -> Any:
        raise KeyError(note.text)

    caplog.set_level(logging.DEBUG)
    answers = handle(FakePipeline(fault), request(SECRET), request(note_type="poem"), request(SECRET))
    assert [status for status, _ in answers] == [500, 422, 500]
    assert answers[0][1] == {
        "error": {"code": "internal_error", "message": "the server failed on this request", "field": None}
    }
    assert "KeyError" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in json.dumps(answers)


def test_a_body_that_torchserve_took_for_a_form() -> None:
    context = context_for(1)
    handler = HANDLER.ClincodeHandler()
    handler._pipeline = FakePipeline()
    [answer] = handler.handle([{json.dumps(request(SECRET)): ""}], context)
    assert context.get_response_status(0)[0] == 400
    assert json.loads(answer)["error"]["code"] == "missing_body"
    assert SECRET not in answer


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("ehr-7.A_b", "ehr-7.A_b"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "-"),
        (None, "-"),
        ("", "-"),
        (SECRET, "-"),
        ("a\nrequest b: answered", "-"),
        ("a\n", "-"),
    ],
)
def test_each_request_is_logged_once_with_its_id(
    sent: str | None, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(note: Note) -> Any:
        return AnalysisError("decode", "ValueError") if "bad" in note.text else None

    caplog.set_level(logging.INFO)
    context = context_for(4)
    own = {0: sent, 1: "second", 2: "third", 3: "fourth"}
    for index, request_id in own.items():
        context.request_processor[index] = RequestProcessor({"X-Request-ID": request_id} if request_id else {})
    handle(
        FakePipeline(fault), request(), request("bad"), request(SECRET, note_type="poem"), request(), context=context
    )
    lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.getMessage().startswith("request ")]
    assert [(level, re.sub(r"\d+ ms$", "ms", line)) for level, line in lines] == [
        ("INFO", f"request {logged}: answered in ms"),
        ("ERROR", "request second: analysis_failed in ms"),
        ("INFO", "request third: literal_error in ms"),
        ("INFO", "request fourth: answered in ms"),
    ]
    assert SECRET not in caplog.text


def test_an_answer_survives_a_request_without_headers() -> None:
    context = context_for(1)
    context.request_processor[0]._request_header = None
    assert handle(FakePipeline(), request(), context=context)[0][0] == 200


def test_metrics_are_those_that_the_configuration_declares(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    context = context_for(2)
    declared = set(context.metrics.cache_keys())
    handle(FakePipeline(), request(), request(""), context=context)
    emitted = {line.split("]", 1)[1].split("|#hostname")[0] for line in caplog.messages if line.startswith("[METRICS]")}
    model = "ModelName:bert-clinical-ner,Level:Model"
    assert emitted == {
        f"clincode_note_entities.Count:1|#{model}|#type:HISTOGRAM",
        f"clincode_note_confidence.ratio:0.75|#{model}|#type:HISTOGRAM",
        f"clincode_note_token_entropy.nats:0.125|#{model}|#type:HISTOGRAM",
        f"clincode_note_outside_share.ratio:0.5|#{model}|#type:HISTOGRAM",
        f"clincode_stage_seconds.Seconds:0.0125|#Stage:model,{model}|#type:HISTOGRAM",
        f"clincode_stage_seconds.Seconds:0.00025|#Stage:decode,{model}|#type:HISTOGRAM",
        f"clincode_errors_total.Count:1|#Code:string_too_short,{model}|#type:COUNTER",
    }
    assert set(context.metrics.cache_keys()) == declared


def test_an_answer_survives_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_for(1)
    monkeypatch.setattr(context.metrics, "add_metric", lambda *_: 1 / 0)
    assert handle(FakePipeline(), request(), context=context)[0][0] == 200


@pytest.mark.parametrize(
    ("config", "warm_ups"), [(None, 10), ({"clincode": None}, 10), ({"clincode": {"warmup_predictions": 3}}, 3)]
)
def test_warm_up(config: Any, warm_ups: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipeline = FakePipeline()
    calls: list[tuple[Path, dict[str, Any]]] = []

    def from_bundle(folder: Path, **settings: Any) -> FakePipeline:
        calls.append((folder, settings))
        return pipeline

    monkeypatch.setattr(HANDLER.Pipeline, "from_bundle", from_bundle)
    HANDLER.ClincodeHandler().initialize(context_for(0, tmp_path, config))
    assert calls == [(tmp_path, {"device": "cpu", "precision": "auto"})]
    assert pipeline.batches == [1] * warm_ups


def test_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="warm_up"):
        HANDLER.ClincodeHandler().initialize(context_for(0, tmp_path, {"clincode": {"warm_up": 3}}))
