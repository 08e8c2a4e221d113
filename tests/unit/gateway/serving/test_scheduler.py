"""Few slots, urgent first, a bounded wait, and no slot that gets lost."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.serving.scheduler import Priority, Scheduler


async def hold(scheduler: Scheduler, priority: Priority, name: str, order: list[str], seconds: float = 0.0) -> None:
    async with scheduler.slot(priority):
        order.append(name)
        await asyncio.sleep(seconds)


def test_urgent_overtakes_and_equals_keep_their_order() -> None:
    async def run() -> list[str]:
        scheduler, order = Scheduler(1, 10), list[str]()
        arrivals = [
            ("busy", Priority.NORMAL_REQUEST), ("job 1", Priority.NORMAL_JOB), ("request 1", Priority.NORMAL_REQUEST),
            ("request 2", Priority.NORMAL_REQUEST), ("urgent job", Priority.URGENT_JOB),
            ("urgent 1", Priority.URGENT_REQUEST), ("urgent 2", Priority.URGENT_REQUEST),
        ]  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for name, priority in arrivals:
                group.create_task(hold(scheduler, priority, name, order))
        return order

    assert asyncio.run(run()) == ["busy", "urgent 1", "urgent 2", "urgent job", "request 1", "request 2", "job 1"]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def run() -> None:
        scheduler, order = Scheduler(1, 2), list[str]()
        tasks = [asyncio.create_task(hold(scheduler, Priority.NORMAL_REQUEST, str(n), order, 0.01)) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(GatewayError) as refusal:
            await hold(scheduler, Priority.NORMAL_REQUEST, "too many", order)
        assert refusal.value.status == 503
        assert refusal.value.retry_after is not None
        assert refusal.value.retry_after >= 1
        # Urgent notes have places of their own.
        await hold(scheduler, Priority.URGENT_REQUEST, "urgent", order)
        await asyncio.gather(*tasks)
        assert order == ["0", "urgent", "1", "2"]

    asyncio.run(run())


def test_whose_time_is_over_gets_504_and_leaves_the_queue() -> None:
    async def run() -> None:
        scheduler, order = Scheduler(1, 2), list[str]()
        busy = asyncio.create_task(hold(scheduler, Priority.NORMAL_REQUEST, "busy", order, 0.2))
        await asyncio.sleep(0)
        with pytest.raises(GatewayError) as refusal:
            async with scheduler.slot(Priority.NORMAL_REQUEST, seconds=0.01):
                order.append("never")
        assert refusal.value.status == 504
        assert scheduler.waiting(Priority.NORMAL_REQUEST) == 0
        await busy
        await hold(scheduler, Priority.NORMAL_REQUEST, "next", order)
        assert (order, scheduler.in_use) == (["busy", "next"], 0)

    asyncio.run(run())


@given(seed=st.integers(0, 10_000), slots=st.integers(1, 4), count=st.integers(1, 40))
def test_no_slot_is_lost_or_given_twice(seed: int, slots: int, count: int) -> None:
    """Clients that come, wait, time out, fail and go away in any order."""
    rng = random.Random(seed)

    async def client(scheduler: Scheduler, seen: list[int]) -> None:
        await asyncio.sleep(rng.random() / 200)
        try:
            async with scheduler.slot(rng.choice(list(Priority)), seconds=rng.choice([None, 0.0, 0.002])):
                seen.append(scheduler.in_use)
                await asyncio.sleep(rng.random() / 500)
                if rng.random() < 0.2:
                    raise GatewayError(500, "x", "x")
        except GatewayError:
            pass

    async def run() -> None:
        scheduler, seen = Scheduler(slots, 5), list[int]()
        tasks = [asyncio.create_task(client(scheduler, seen)) for _ in range(count)]
        for task in tasks:
            if rng.random() < 0.2:
                asyncio.get_running_loop().call_later(rng.random() / 100, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert scheduler.in_use == 0
        assert all(scheduler.waiting(priority) == 0 for priority in Priority)
        assert max(seen, default=1) <= slots

    asyncio.run(run())
