"""TorchServe's door to the pipeline: request bodies in, answers of the contract out, one slot for each request.

A request's fault stays in its own slot. Nothing of a note goes into a log line or an exception's text, and no exception
leaves ``handle``: TorchServe would fail the whole batch and log the text. TorchServe wants exactly one class here.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch
from ts.metrics.dimension import Dimension  # type: ignore[import-untyped]
from ts.metrics.metric_type_enum import MetricTypes  # type: ignore[import-untyped]

from clincode.errors import ClincodeError, RequestError
from clincode.pipeline import Pipeline
from clincode.request import loggable_id, parse_request
from clincode.response import response_body
from clincode.types import Analysis, Note

logger = logging.getLogger(__name__)
WARM_UP = Note("00000000-0000-0000-0000-000000000000", "Chest pain, no fever. Given aspirin 81 mg. Troponin normal.")
SETTINGS: Mapping[str, Any] = {"precision": "auto", "warmup_predictions": 10}


class ClincodeHandler:
    """One TorchServe worker: ``initialize`` once, then ``handle`` for each batch."""

    _pipeline: Pipeline

    def initialize(self, context: Any) -> None:
        """Load the model folder and warm it up; TorchServe calls the worker ready only after this returns."""
        config: Mapping[str, Any] = context.model_yaml_config or {}
        settings = {**SETTINGS, **(config.get("clincode") or {})}
        if unknown := settings.keys() - SETTINGS.keys():
            raise ValueError(f"model-config.yaml, clincode: unknown settings {', '.join(sorted(unknown))}")
        # Workers share the machine's cores; each taking all of them would make every one slower.
        torch.set_num_threads(max(1, torch.get_num_threads() // max(1, config.get("maxWorkers", 1))))
        gpu = context.system_properties.get("gpu_id") if torch.cuda.is_available() else None
        device = "cpu" if gpu is None else f"cuda:{gpu}"
        folder = Path(context.system_properties["model_dir"])
        self._pipeline = Pipeline.from_bundle(folder, device=device, precision=settings["precision"])
        for _ in range(settings["warmup_predictions"]):
            self._pipeline.analyze(WARM_UP)
        logger.info("%s is ready on %s in %s", self._pipeline.version, device, self._pipeline.precision)

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """Answer a batch: one JSON text for each request, in order; its status is set in the context."""
        start = time.perf_counter()
        outcomes = self._outcomes([_parse(item) for item in data])
        elapsed_ms = round((time.perf_counter() - start) * 1000)
        return [self._answer(context, index, outcome, elapsed_ms) for index, outcome in enumerate(outcomes)]

    def _outcomes(self, parsed: Sequence[Note | ClincodeError]) -> list[Analysis | ClincodeError]:
        """All notes go through the pipeline together; a request that is refused already keeps its error."""
        notes = [item for item in parsed if isinstance(item, Note)]
        try:
            results: Iterator[Analysis | ClincodeError] = iter(self._pipeline.analyze_batch(notes))
        except Exception as error:
            results = iter([_internal_error(error)] * len(notes))
        return [next(results) if isinstance(item, Note) else item for item in parsed]

    def _answer(self, context: Any, index: int, outcome: Analysis | ClincodeError, elapsed_ms: int) -> str:
        try:
            if isinstance(outcome, Analysis):
                text = json.dumps(response_body(outcome, version=self._pipeline.version, processing_time_ms=elapsed_ms))
        except Exception as error:
            outcome = _internal_error(error)
        if isinstance(outcome, ClincodeError):
            text = json.dumps(outcome.body.to_dict())
            context.set_response_status(code=outcome.status, phrase=HTTPStatus(outcome.status).phrase, idx=index)
        context.set_response_content_type(index, "application/json")
        _record(context, index, outcome, elapsed_ms)
        return text


def _parse(item: Mapping[str, Any]) -> Note | ClincodeError:
    body = item.get("body", item.get("data"))
    if body is None:  # another Content-Type: TorchServe has taken the body for a form
        return RequestError("missing_body", "send a JSON body with Content-Type: application/json", status=400)
    try:
        return parse_request(body)
    except Exception as error:
        return error if isinstance(error, RequestError) else _internal_error(error)


def _internal_error(error: Exception) -> ClincodeError:
    logger.error("a request failed: %s", type(error).__name__)  # its text may quote a note
    return ClincodeError("internal_error", "the server failed on this request")


def _record(context: Any, index: int, outcome: Analysis | ClincodeError, elapsed_ms: int) -> None:
    """One log line, and the metrics that config/metrics.yaml declares; an answer does not fail over them."""
    try:
        request_id = loggable_id(context.get_request_header(index, "X-Request-ID"))
        if isinstance(outcome, ClincodeError):
            level = logging.ERROR if outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
            logger.log(level, "request %s: %s in %d ms", request_id, outcome.body.code, elapsed_ms)
            context.metrics.add_counter("clincode_errors_total", 1, index, [Dimension("Code", outcome.body.code)])
        else:
            logger.info("request %s: answered in %d ms", request_id, elapsed_ms)
            for name, value, dimensions in _measurements(outcome):
                context.metrics.add_metric(name, value, "", index, dimensions, MetricTypes.HISTOGRAM)
    except Exception as error:
        logger.error("metrics failed: %s", type(error).__name__)


def _measurements(analysis: Analysis) -> Iterator[tuple[str, float, list[Any]]]:
    statistics = analysis.statistics
    yield "clincode_note_entities", len(analysis.entities), []
    if statistics.mean_confidence is not None:
        yield "clincode_note_confidence", round(statistics.mean_confidence, 6), []
    yield "clincode_note_token_entropy", round(statistics.mean_token_entropy, 6), []
    yield "clincode_note_outside_share", round(statistics.outside_share, 6), []
    for stage, milliseconds in statistics.stage_ms.items():
        yield "clincode_stage_seconds", round(milliseconds / 1000, 6), [Dimension("Stage", stage)]
