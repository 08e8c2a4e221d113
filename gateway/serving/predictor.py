"""A note → a model's answer: which version, when its turn is, and what happens where a canary does not answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from clincode.types import Note
from gateway.errors import ModelUnavailableError
from gateway.serving.routing import FixedRouting, RoutingFile, Target
from gateway.serving.scheduler import Priority, Scheduler, deadline_exceeded
from gateway.serving.torchserve import TorchServe

_LINGER_SECONDS = 10.0
"""How long a note whose client has given up may keep its slot. TorchServe goes on with it all the same: were the slot
free at once, impatient clients would fill TorchServe's own queue, in which no urgent note overtakes."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prediction:
    """``route`` names the target that answered; times in seconds."""

    answer: dict[str, Any]
    route: str
    waited: float
    model_time: float


class Predictor:
    """Predicts notes one by one, each in its turn. For one event loop."""

    def __init__(self, routing: RoutingFile | FixedRouting, scheduler: Scheduler) -> None:
        self.routing = routing
        self.scheduler = scheduler
        self._clients: dict[Target, TorchServe] = {}
        self._working: set[asyncio.Task[tuple[dict[str, Any], str]]] = set()

    async def predict(self, note: Note, priority: Priority, *, seconds: float, request_id: str) -> Prediction:
        """The answer for a note within ``seconds``.

        Raises:
            GatewayError: 503 the model is away or too many wait, 504 the time is over; or what the handler says of
                this note.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        give_back = await self.scheduler.take(priority, seconds=seconds)
        waited = loop.time() - start
        work = asyncio.create_task(self._ask(note, request_id, seconds - waited + _LINGER_SECONDS))
        self._working.add(work)
        work.add_done_callback(partial(self._done, give_back))
        try:
            async with asyncio.timeout(seconds - waited):
                answer, route = await asyncio.shield(work)
        except TimeoutError:
            raise deadline_exceeded() from None
        return Prediction(answer, route, waited, loop.time() - start - waited)

    async def close(self) -> None:
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    def _done(self, give_back: Callable[[], None], work: "asyncio.Task[tuple[dict[str, Any], str]]") -> None:
        self._working.discard(work)
        give_back()
        if not work.cancelled():
            work.exception()  # where the client has gone, nobody else asks for it

    async def _ask(self, note: Note, request_id: str, seconds: float) -> tuple[dict[str, Any], str]:
        async with asyncio.timeout(seconds):
            return await self._routed(note, request_id)

    async def _routed(self, note: Note, request_id: str) -> tuple[dict[str, Any], str]:
        routing = self.routing.current()
        route = routing.target_for(note.note_id)
        try:
            return await self._client(routing.targets[route]).predict(note, request_id), route
        except ModelUnavailableError:
            if route == routing.production:
                raise
        log.warning("fell_back_to_production", route=route, request_id=request_id)
        production = routing.targets[routing.production]
        return await self._client(production).predict(note, request_id), routing.production

    def _client(self, target: Target) -> TorchServe:
        if target not in self._clients:
            self._clients[target] = TorchServe(str(target.url), target.key_file)
        return self._clients[target]
