"""A note → a model's answer: which version, when its turn is, and what happens where a canary does not answer."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from clincode.types import Note
from gateway.errors import ModelUnavailableError
from gateway.serving.routing import FixedRouting, RoutingFile, Target
from gateway.serving.scheduler import Priority, Scheduler, deadline_exceeded
from gateway.serving.torchserve import TorchServe

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

    async def predict(self, note: Note, priority: Priority, *, seconds: float, request_id: str) -> Prediction:
        """The answer for a note within ``seconds``.

        Raises:
            GatewayError: 503 the model is away or too many wait, 504 the time is over; or what the handler says of
                this note.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with self.scheduler.slot(priority, seconds=seconds):
            waited = loop.time() - start
            try:
                async with asyncio.timeout(seconds - waited):
                    answer, route = await self._ask(note, request_id)
            except TimeoutError:
                raise deadline_exceeded() from None
        return Prediction(answer, route, waited, loop.time() - start - waited)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _ask(self, note: Note, request_id: str) -> tuple[dict[str, Any], str]:
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
