"""The gateway's Prometheus metrics; labels are routes, states and versions, never anything of a note."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.serving.predictor import Prediction
from gateway.serving.scheduler import Priority, Scheduler

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30)


class Metrics:
    """A registry of its own, so that two gateways in one process keep apart."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "clincode_gateway_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "clincode_gateway_request_seconds",
            "From the first byte in to the last byte out",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.model_seconds = Histogram(
            "clincode_gateway_model_seconds", "With TorchServe", ["route"], buckets=_SECONDS, registry=registry
        )
        self.wait_seconds = Histogram(
            "clincode_gateway_wait_seconds", "Waiting for a slot", ["priority"], buckets=_SECONDS, registry=registry
        )
        self.predictions = Counter(
            "clincode_gateway_predictions", "Notes predicted", ["model_version", "source"], registry=registry
        )
        self.notes = Gauge("clincode_gateway_notes", "Notes kept, by state", ["state"], registry=registry)
        self.waiting = Gauge("clincode_gateway_waiting", "Notes waiting for a slot", ["priority"], registry=registry)

    def predicted(self, prediction: Prediction, priority: Priority, source: str) -> None:
        self.wait_seconds.labels(priority.name.lower()).observe(prediction.waited)
        self.model_seconds.labels(prediction.route).observe(prediction.model_time)
        self.predictions.labels(str(prediction.answer["model_version"]), source).inc()

    def refresh(self, counts: Mapping[str, int], scheduler: Scheduler) -> None:
        """Set the gauges to what is the case now."""
        for state, count in counts.items():
            self.notes.labels(state).set(count)
        for priority in Priority:
            self.waiting.labels(priority.name.lower()).set(scheduler.waiting(priority))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
