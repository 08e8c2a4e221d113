"""What the routes work with, built once at start and found as ``request.app.state.services``."""

from dataclasses import dataclass

from gateway.codes import CodePicker
from gateway.drift import DriftWatch
from gateway.metrics import Metrics
from gateway.review.store import ReviewStore
from gateway.security import Security
from gateway.serving.predictor import Predictor
from gateway.serving.routing import FixedRouting, RoutingFile
from gateway.serving.scheduler import Scheduler
from gateway.serving.webhooks import Webhooks
from gateway.serving.worker import Worker
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.cipher import NoteCipher
from gateway.storage.database import Database
from gateway.storage.notes import NoteStore
from gateway.storage.retention import Retention


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    audit: Audit
    notes: NoteStore
    security: Security
    codes: CodePicker
    review: ReviewStore
    predictor: Predictor
    worker: Worker
    webhooks: Webhooks
    retention: Retention
    metrics: Metrics
    drift: DriftWatch

    @classmethod
    def build(cls, settings: Settings) -> "Services":
        """All services of a deployment; the database must have this code's tables.

        Raises:
            ValueError: the routing file or the drift monitor's reference does not fit.
        """
        database = Database(settings.database_url.get_secret_value())
        audit = Audit(settings.derived_key("audit"))
        notes = NoteStore(database, audit, NoteCipher(settings))
        codes = CodePicker()
        metrics = Metrics()
        drift = DriftWatch(settings, metrics.registry)
        scheduler = Scheduler(settings.slots, settings.queue_size, settings.urgent_slots)
        predictor = Predictor(_routing(settings), scheduler)
        return cls(
            settings=settings,
            database=database,
            audit=audit,
            notes=notes,
            security=Security.build(settings, database, audit),
            codes=codes,
            review=ReviewStore(database, audit, codes),
            predictor=predictor,
            worker=Worker(notes, predictor, settings, metrics, drift),
            webhooks=Webhooks(database, settings),
            retention=Retention(database, audit, settings.retention_days),
            metrics=metrics,
            drift=drift,
        )


def _routing(settings: Settings) -> RoutingFile | FixedRouting:
    if settings.routing_file:
        return RoutingFile(settings.routing_file)
    return FixedRouting(str(settings.inference_url), settings.inference_key_file)
