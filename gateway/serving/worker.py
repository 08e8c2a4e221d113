"""Predicts the notes that were accepted for later, until each is done or given up.

Any number of workers may share a database. A worker that dies leaves its leases to run out; then others take the notes
up again. While the model is away the worker waits, longer each time, and the notes lose none of their tries by it.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from gateway.drift import DriftWatch
from gateway.errors import GatewayError, ModelUnavailableError
from gateway.metrics import Metrics
from gateway.serving.predictor import Predictor
from gateway.serving.scheduler import Priority
from gateway.serving.torchserve import BrokenOffError
from gateway.settings import Settings
from gateway.storage.notes import Job, NoteStore

_POLL_SECONDS = 1.0
"""How often the database is looked at where nobody rings: notes that another gateway has accepted, expired leases."""
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_LONGEST_BACKOFF = 300.0
_BUSY = {"queue_full", "deadline_exceeded"}
"""Refusals of the gateway's own that say nothing of the note."""
log = structlog.get_logger(__name__)


class Worker:
    """Runs jobs on the event loop; ``ring`` when a note was accepted."""

    def __init__(
        self, notes: NoteStore, predictor: Predictor, settings: Settings, metrics: Metrics, drift: DriftWatch
    ) -> None:
        self._notes = notes
        self._predictor = predictor
        self._settings = settings
        self._metrics = metrics
        self._drift = drift
        self._bell = asyncio.Event()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._pause = 0.0

    def ring(self) -> None:
        self._bell.set()

    async def run(self) -> None:
        """Work until cancelled. What is in hand then is taken up when its lease has run out."""
        renewal = asyncio.create_task(self._renew())
        try:
            while True:
                await self._step()
        finally:
            for task in [renewal, *self._jobs.values()]:
                task.cancel()
            await asyncio.gather(renewal, *self._jobs.values(), return_exceptions=True)

    async def _step(self) -> None:
        self._bell.clear()
        if self._pause:
            await asyncio.sleep(self._pause)
        # No more than can be with the model: an urgent note is to find a free place.
        free = self._settings.slots - len(self._jobs)
        claimed: list[Job] = []
        if free > 0:
            try:
                claimed = await asyncio.to_thread(self._notes.claim, free, self._settings.lease_seconds)
            except Exception as error:  # the database is away: the next round may find it
                log.error("claim_failed", error=type(error).__name__)
                await asyncio.sleep(_POLL_SECONDS)
        for job in claimed:
            task = asyncio.create_task(self._work(job))
            self._jobs[job.lease] = task
            task.add_done_callback(partial(self._finished, job.lease))
        if not claimed or len(self._jobs) >= self._settings.slots:
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._bell.wait()
            except TimeoutError:
                pass

    def _finished(self, lease: str, _task: "asyncio.Task[None]") -> None:
        self._jobs.pop(lease, None)
        self._bell.set()

    async def _work(self, job: Job) -> None:
        priority = Priority.URGENT_JOB if job.note.priority == "urgent" else Priority.NORMAL_JOB
        request_id = f"job-{job.lease}"
        try:
            prediction = await self._predictor.predict(
                job.note, priority, seconds=self._settings.job_timeout_seconds, request_id=request_id
            )
            if await asyncio.to_thread(self._notes.complete, job, prediction.answer, prediction.route):
                self._drift.saw(job.note.text, prediction.answer, job.note.note_type)
            self._metrics.predicted(prediction, priority, "job")
            self._pause = 0.0
        except GatewayError as error:
            await self._failed(job, error, request_id)
        except Exception as error:  # a fault of ours on one note must not stop the others
            log.error("job_failed", request_id=request_id, error=type(error).__name__)
            fault = GatewayError(500, "internal_error", "the gateway failed on this note")
            await self._failed(job, fault, request_id)

    async def _failed(self, job: Job, error: GatewayError, request_id: str) -> None:
        code = error.body.code
        is_away = isinstance(error, ModelUnavailableError)
        counts = (not is_away or isinstance(error, BrokenOffError)) and code not in _BUSY
        limit = timedelta(hours=self._settings.job_hours)
        is_over = datetime.now(UTC) - job.waiting_since > limit
        is_refused = 400 <= error.status < 500  # the same note will be refused again
        try:
            if is_over or (counts and (is_refused or job.attempts + 1 >= self._settings.job_attempts)):
                await asyncio.to_thread(self._notes.give_up, job, code)
                log.error("job_given_up", request_id=request_id, code=code, attempts=job.attempts)
            else:
                backoff = min(_LONGEST_BACKOFF, _SHORTEST_PAUSE * 2**job.attempts) if counts else _SHORTEST_PAUSE
                await asyncio.to_thread(self._notes.put_back, job, code, seconds=backoff, counts=counts)
        except Exception as fault:  # its lease runs out, and it is taken up again
            log.error("job_not_put_back", request_id=request_id, error=type(fault).__name__)
        if is_away:
            self._pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * self._pause))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                if leases := list(self._jobs):
                    await asyncio.to_thread(self._notes.renew, leases, self._settings.lease_seconds)
            except Exception as error:
                log.error("renewal_failed", error=type(error).__name__)
