"""Who is with the model next: few slots, a bounded wait, urgent notes first.

TorchServe answers in the order of arrival, so the order is made here: no more notes are handed over than keep it busy,
and the others wait where an urgent one can overtake them. Nobody waits in vain: who cannot be served in time is refused
at once, for where notes wait until their time is just over, the model works for answers that come too late.
"""

import asyncio
import heapq
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
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


_URGENT = frozenset({Priority.URGENT_REQUEST, Priority.URGENT_JOB})


_HOPEFUL_SHARE = 0.75
"""Of its time a note may be expected to take, and is let in: the estimate errs, and urgent notes overtake."""
_HOPELESS_SHARE = 0.5
"""Of the mean time that a note takes: who has less left when the turn comes is passed over, where others wait."""
_SMOOTHING = 0.05


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    number: int
    turn: "asyncio.Future[None]" = field(compare=False)
    ends: float = field(compare=False)


class Scheduler:
    """Hands out ``slots``, and ``urgent_slots`` more to urgent notes alone; at most ``queue_size`` may wait in each
    priority. For one event loop."""

    def __init__(self, slots: int, queue_size: int, urgent_slots: int = 0) -> None:
        self._slots = slots
        self._urgent_slots = urgent_slots
        self._in_use = 0
        self._queue_size = queue_size
        self._heap: list[_Waiter] = []
        self._waiting: Counter[Priority] = Counter()
        self._numbers = itertools.count()
        self._mean_seconds = 0.5

    async def take(self, priority: Priority, *, seconds: float | None = None) -> Callable[[], None]:
        """Wait for a slot, at most ``seconds``; returns what gives it back, to be called once.

        Raises:
            GatewayError: 503 where too many wait already, 504 where the turn did not come in time.
        """
        await self._turn(priority, seconds)
        start = asyncio.get_running_loop().time()

        def give_back() -> None:
            held = asyncio.get_running_loop().time() - start
            self._mean_seconds += _SMOOTHING * (held - self._mean_seconds)
            self._release()

        return give_back

    @asynccontextmanager
    async def slot(self, priority: Priority, *, seconds: float | None = None) -> AsyncIterator[None]:
        """``take``, and give back at the end of the block."""
        give_back = await self.take(priority, seconds=seconds)
        try:
            yield
        finally:
            give_back()

    def waiting(self, priority: Priority) -> int:
        return self._waiting[priority]

    @property
    def in_use(self) -> int:
        return self._in_use

    def retry_after(self) -> int:
        """Seconds until those who wait now should be through."""
        return max(1, round(self._seconds_of(self._waiting.total())))

    async def _turn(self, priority: Priority, seconds: float | None) -> None:
        if not self._heap and self._is_free(priority):
            self._in_use += 1
            return
        if not self._is_free(priority) and self._is_full(priority, seconds):
            raise GatewayError(
                503, "queue_full", "too many notes are waiting; try again later", retry_after=self.retry_after()
            )
        loop = asyncio.get_running_loop()
        ends = math.inf if seconds is None else loop.time() + seconds
        waiter = _Waiter(priority, next(self._numbers), loop.create_future(), ends)
        heapq.heappush(self._heap, waiter)
        self._waiting[priority] += 1
        self._hand_out()
        try:
            async with asyncio.timeout(seconds):
                await waiter.turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._release()  # the turn came in the very moment of giving up
            else:
                waiter.turn.cancel()
            if isinstance(error, TimeoutError):
                raise deadline_exceeded() from None
            raise
        finally:
            self._waiting[priority] -= 1

    def _is_free(self, priority: Priority) -> bool:
        return self._in_use < self._slots + (self._urgent_slots if priority in _URGENT else 0)

    def _is_full(self, priority: Priority, seconds: float | None) -> bool:
        if self._waiting[priority] >= self._queue_size:
            return True
        ahead = sum(self._waiting[other] for other in Priority if other <= priority)
        # Without anybody ahead the estimate says nothing of this very note, which may be a short one.
        return bool(ahead) and seconds is not None and self._seconds_of(ahead + 1) > _HOPEFUL_SHARE * seconds

    def _seconds_of(self, notes: int) -> float:
        """How long so many notes should take."""
        return notes * self._mean_seconds / self._slots

    def _release(self) -> None:
        self._in_use -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        """Free slots to those who come first. Those who have given up may still be in the heap, and in the counts."""
        while self._heap and self._is_free(self._heap[0].priority):
            waiter = heapq.heappop(self._heap)
            if waiter.turn.done():
                continue
            left = waiter.ends - asyncio.get_running_loop().time()
            if self._heap and left < _HOPELESS_SHARE * self._mean_seconds:
                waiter.turn.set_exception(deadline_exceeded())
                continue
            self._in_use += 1
            waiter.turn.set_result(None)


def deadline_exceeded() -> GatewayError:
    return GatewayError(504, "deadline_exceeded", "no answer within the request's time", retry_after=5)
