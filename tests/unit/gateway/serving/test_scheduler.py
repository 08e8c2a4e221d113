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


def test_an_urgent_note_has_a_slot_beyond_the_others_which_no_normal_one_gets() -> None:
    async def run() -> None:
        scheduler = Scheduler(1, 10, urgent_slots=1)
        normal = await scheduler.take(Priority.NORMAL_REQUEST)
        urgent = await scheduler.take(Priority.URGENT_REQUEST, seconds=0.0)
        order = list[str]()
        waiting = [
            asyncio.create_task(hold(scheduler, Priority.NORMAL_REQUEST, "normal", order)),
            asyncio.create_task(hold(scheduler, Priority.URGENT_REQUEST, "urgent", order, 0.01)),
        ]
        await asyncio.sleep(0)
        assert (order, scheduler.in_use) == ([], 2)
        normal()
        await asyncio.sleep(0.001)
        assert order == ["urgent"]
        urgent()
        await asyncio.gather(*waiting)
        assert (order, scheduler.in_use) == (["urgent", "normal"], 0)

    asyncio.run(run())


def test_who_cannot_be_served_in_time_is_refused_at_once() -> None:
    async def run() -> None:
        scheduler, order = Scheduler(1, 100), list[str]()
        for _ in range(200):
            await hold(scheduler, Priority.NORMAL_REQUEST, "", order, 0.001)
        tasks = [asyncio.create_task(hold(scheduler, Priority.NORMAL_REQUEST, "", order, 0.001)) for _ in range(60)]
        await asyncio.sleep(0)
        with pytest.raises(GatewayError) as refusal:
            await scheduler.take(Priority.NORMAL_REQUEST, seconds=0.01)
        assert refusal.value.status == 503
        (await scheduler.take(Priority.NORMAL_REQUEST, seconds=10))()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_who_comes_in_the_moment_of_anothers_giving_up_is_not_forgotten() -> None:
    async def run() -> None:
        scheduler = Scheduler(1, 10)
        give_back = await scheduler.take(Priority.NORMAL_REQUEST)
        gone = asyncio.create_task(scheduler.take(Priority.NORMAL_REQUEST))
        await asyncio.sleep(0)
        gone.cancel()
        give_back()
        async with asyncio.timeout(1):  # the other has not yet seen that it was cancelled
            (await scheduler.take(Priority.NORMAL_REQUEST))()
        assert scheduler.in_use == 0

    asyncio.run(run())


def test_an_overload_does_not_make_answers_come_too_late() -> None:
    """Four times the notes that there is time for: without the refusals nearly all that are served come too late."""
    service, deadline = 0.004, 0.2

    async def run() -> tuple[int, int]:
        scheduler, rng, loop = Scheduler(1, 1000), random.Random(3), asyncio.get_running_loop()
        scheduler._mean_seconds = service
        served = late = 0

        async def client() -> None:
            nonlocal served, late
            ends = loop.time() + deadline
            try:
                async with scheduler.slot(Priority.NORMAL_REQUEST, seconds=deadline):
                    await asyncio.sleep(service * rng.uniform(0.5, 1.5))
                served += loop.time() <= ends
                late += loop.time() > ends
            except GatewayError as error:
                late += error.status == 504

        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(client())
                await asyncio.sleep(service / 4)
        return served, late

    served, late = asyncio.run(run())
    assert served > 100
    assert late < 0.1 * served
