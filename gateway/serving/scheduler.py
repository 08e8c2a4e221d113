"""Who is with the model next: few slots, a bounded wait, urgent notes first.

TorchServe answers in the order of arrival, so the order is made here: no more notes are handed over than keep it busy,
and the others wait where an urgent one can overtake them.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.errors import GatewayError


class Priority(IntEnum):
    """Lower goes first. A job is a note that was accepted for later; a request is one whose client waits."""

    URGENT_REQUEST = 0
    URGENT_JOB = 1
    NORMAL_REQUEST = 2
    NORMAL_JOB = 3


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    number: int
    turn: "asyncio.Future[None]" = field(compare=False)


class Scheduler:
    """Hands out ``slots``; at most ``queue_size`` may wait in each priority. For one event loop."""

    def __init__(self, slots: int, queue_size: int) -> None:
        self._free = slots
        self._slots = slots
        self._queue_size = queue_size
        self._heap: list[_Waiter] = []
        self._waiting: Counter[Priority] = Counter()
        self._numbers = itertools.count()
        self._mean_seconds = 0.5

    @asynccontextmanager
    async def slot(self, priority: Priority, *, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for a slot, at most ``seconds``, and hold it.

        Raises:
            GatewayError: 503 where too many wait already, 504 where the turn did not come in time.
        """
        await self._take(priority, seconds)
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            yield
        finally:
            self._mean_seconds += 0.1 * (loop.time() - start - self._mean_seconds)
            self._release()

    def waiting(self, priority: Priority) -> int:
        return self._waiting[priority]

    @property
    def in_use(self) -> int:
        return self._slots - self._free

    def retry_after(self) -> int:
        """Seconds until those who wait now should be through."""
        return max(1, round(self._waiting.total() * self._mean_seconds / self._slots))

    async def _take(self, priority: Priority, seconds: float | None) -> None:
        if self._free and not self._heap:
            self._free -= 1
            return
        if self._waiting[priority] >= self._queue_size:
            raise GatewayError(
                503, "queue_full", "too many notes are waiting; try again later", retry_after=self.retry_after()
            )
        waiter = _Waiter(priority, next(self._numbers), asyncio.get_running_loop().create_future())
        heapq.heappush(self._heap, waiter)
        self._waiting[priority] += 1
        try:
            async with asyncio.timeout(seconds):
                await waiter.turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.turn.done() and not waiter.turn.cancelled():
                self._release()  # the turn came in the very moment of giving up
            else:
                waiter.turn.cancel()
            if isinstance(error, TimeoutError):
                raise deadline_exceeded() from None
            raise
        finally:
            self._waiting[priority] -= 1

    def _release(self) -> None:
        while self._heap:
            waiter = heapq.heappop(self._heap)
            if not waiter.turn.done():
                waiter.turn.set_result(None)
                return
        self._free += 1


def deadline_exceeded() -> GatewayError:
    return GatewayError(504, "deadline_exceeded", "no answer within the request's time", retry_after=5)
