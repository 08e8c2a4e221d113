"""Shows the drift monitor each note that was answered and stored, beside the requests and never in their way.

Observations wait in a bounded queue for one thread. Where it does not keep up, the newest are dropped and counted: a
window with some notes fewer says the same. Each gateway process watches its own notes and needs its own state file.
"""

import math
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.settings import Settings
from monitoring.drift.answers import outside_share
from monitoring.drift.labels import LabelWeek
from monitoring.drift.monitor import DriftMonitor, Limits, Report
from monitoring.drift.reference import read_reference
from monitoring.drift.store import read_label_weeks, read_state, write_state

QUEUE_SIZE = 256
"""Notes that may wait: up to 10,000 characters each, so a few megabytes at most."""
SAVE_NOTES = 500
_POLL_SECONDS = 1.0
_LABEL_SECONDS = 60.0
KINDS = ("words", "types", "labels")
log = structlog.get_logger(__name__)


class DriftMetrics:
    """Gauges are NaN as long as there is nothing to say, which no rule of Prometheus takes for an alert."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            made = Gauge(f"clincode_drift_{name}", text, registry=registry)
            made.set(math.nan)
            return made

        self.window_notes = gauge("window_notes", "Notes in the window of words")
        self.word_kl = gauge("word_kl", "KL(window || reference) of single words, in nats")
        self.type_p = gauge("type_chi2_p", "p of the last whole week's entity types, corrected for notes as clusters")
        self.type_v = gauge("type_cramers_v", "Cramer's V of the last whole week's entity types")
        self.type_design_effect = gauge("type_design_effect", "By which Pearson's statistic is too large")
        self.label_f1 = gauge("label_f1", "F1 of the last judged week's reviewed predictions")
        self.confidence_psi = gauge("confidence_psi", "Population stability index of entities' confidences")
        self.entities_per_note = gauge("entities_per_note", "Entities found per note in the last whole week")
        self.outside_share = gauge("outside_share", "Share of words in no entity in the last whole week")
        self.alert = Gauge("clincode_drift_alert", "1 where a limit is passed", ["kind"], registry=registry)
        self.retrain = gauge("retrain", "1 where two judged weeks in a row were below the limit for retraining")
        self.observed = Counter("clincode_drift_observed", "Notes observed", registry=registry)
        self.dropped = Counter("clincode_drift_dropped", "Notes not observed, the queue being full", registry=registry)
        self.failed = Counter("clincode_drift_failed", "Notes or files that could not be dealt with", registry=registry)

    def show(self, report: Report) -> None:
        self.window_notes.set(report.window_notes)
        types, latest = report.types, report.labels.latest
        for gauge, value in (
            (self.word_kl, report.word_kl),
            (self.type_p, types.p if types else None),
            (self.type_v, types.cramers_v if types else None),
            (self.type_design_effect, types.design_effect if types else None),
            (self.label_f1, latest.f1 if latest and latest.is_judged else None),
            (self.confidence_psi, report.confidence_psi),
            (self.entities_per_note, report.entities_per_note[0]),
            (self.outside_share, report.outside_share[0]),
        ):
            gauge.set(math.nan if value is None else value)
        alerts = {alert.kind for alert in report.alerts}
        for kind in KINDS:
            self.alert.labels(kind).set(kind in alerts)
        self.retrain.set(report.labels.verdict == "retrain")


@dataclass(frozen=True, slots=True)
class _Seen:
    text: str
    answer: Mapping[str, Any]
    note_type: str
    at: datetime


class DriftWatch:
    """Does nothing where the deployment names no reference.

    Raises:
        ValueError: the reference is none; OSError: it cannot be read.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._state_file = settings.drift_state
        self._label_folder = settings.drift_labels
        self._save_seconds = settings.drift_save_minutes * 60
        self._queue: queue.Queue[_Seen | None] = queue.Queue(QUEUE_SIZE)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._monitor: DriftMonitor | None = None
        self._saved_notes, self._saved_at, self._labels_at = 0, time.monotonic(), -math.inf
        if settings.drift_reference is not None:
            limits = Limits(word_kl=settings.drift_word_limit)
            self._monitor = DriftMonitor(read_reference(settings.drift_reference), limits)
            self._metrics = DriftMetrics(registry)

    def start(self) -> None:
        """Take up the state of the last run and begin to observe."""
        if self._monitor is None or self._thread is not None:
            return
        self._restore(self._monitor)
        self._thread = threading.Thread(target=self._run, args=(self._monitor,), name="drift", daemon=True)
        self._thread.start()

    def saw(self, text_masked: str, answer: Mapping[str, Any], note_type: str) -> None:
        """A note that has been answered. Never blocks and never raises."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(_Seen(text_masked, answer, note_type, datetime.now(UTC)))
        except queue.Full:
            self._metrics.dropped.inc()

    def refresh(self) -> None:
        """Set the gauges to what is the case now."""
        if (report := self.report()) is not None:
            self._metrics.show(report)

    def report(self) -> Report | None:
        """What stands now; null where nothing is watched."""
        if self._monitor is None:
            return None
        with self._lock:
            return self._monitor.report(datetime.now(UTC))

    def close(self) -> None:
        """Observe what waits, keep the state, and end. Blocks for as long as that takes."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    # -- inside

    def _run(self, monitor: DriftMonitor) -> None:
        while True:
            try:
                seen = self._queue.get(timeout=_POLL_SECONDS)
                if seen is None:
                    break
                self._observe(monitor, seen)
            except queue.Empty:
                pass
            self._look_after(monitor)
        self._save(monitor)

    def _observe(self, monitor: DriftMonitor, seen: _Seen) -> None:
        try:
            entities = seen.answer["entities"]
            outside = outside_share(seen.text, [(each["start_char"], each["end_char"]) for each in entities])
            types, confidences = [each["type"] for each in entities], [each["confidence"] for each in entities]
            with self._lock:
                monitor.observe(seen.text, types, confidences, seen.note_type, seen.at, outside)
            self._metrics.observed.inc()
        except Exception as error:  # one strange answer must not stop the watch
            self._failed("drift_not_observed", error)

    def _look_after(self, monitor: DriftMonitor) -> None:
        now = time.monotonic()
        if self._label_folder is not None and now - self._labels_at >= _LABEL_SECONDS:
            self._labels_at = now
            self._read_labels(monitor, self._label_folder)
        new = monitor.observed - self._saved_notes
        if new >= SAVE_NOTES or (new and now - self._saved_at >= self._save_seconds):
            self._save(monitor)

    def _read_labels(self, monitor: DriftMonitor, folder: Path) -> None:
        try:
            weeks: list[LabelWeek] = read_label_weeks(folder)
            with self._lock:
                monitor.label_weeks = weeks
        except (OSError, ValueError) as error:
            self._failed("drift_labels_not_read", error)

    def _restore(self, monitor: DriftMonitor) -> None:
        if self._state_file is None:
            return
        try:
            if (state := read_state(self._state_file)) is not None:
                monitor.restore(state)
                log.info("drift_state_restored", notes=monitor.observed)
        except (OSError, ValueError) as error:  # of another reference, say: begin anew
            self._failed("drift_state_not_restored", error)
        self._saved_notes, self._saved_at = monitor.observed, time.monotonic()

    def _save(self, monitor: DriftMonitor) -> None:
        self._saved_notes, self._saved_at = monitor.observed, time.monotonic()
        if self._state_file is None:
            return
        try:
            with self._lock:
                state = monitor.state()
            write_state(self._state_file, state)
        except OSError as error:
            self._failed("drift_state_not_kept", error)

    def _failed(self, event: str, error: Exception) -> None:
        self._metrics.failed.inc()
        log.error(event, error=type(error).__name__)
