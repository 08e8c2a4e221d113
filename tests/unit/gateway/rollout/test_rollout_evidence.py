"""What the database knows of two arms."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rollout_site import BEGAN, make_answer

from gateway.rollout.canary import CanaryPlan
from gateway.rollout.control import Rollouts
from gateway.rollout.evidence import SETTLE, Gathered, candidate_of, gather
from gateway.serving.routing import read_routing
from gateway.storage.database import Database

At = Callable[[float], datetime]
Add = Callable[..., list[str]]


@pytest.fixture
def gathered(rollouts: Rollouts, database: Database, routing_file: Path) -> Callable[[], Gathered]:
    rollouts.start_canary("tests", "next", 0.2, CanaryPlan(), now=BEGAN)
    return lambda: gather(database, read_routing(routing_file), BEGAN, BEGAN + timedelta(days=2))


def test_counts_latencies_and_confidences_are_of_the_arm_that_answered(
    gathered: Callable[[], Gathered], add_notes: Add
) -> None:
    add_notes("stable", 4, hits=8)
    add_notes("next", 3, hits=9, answer=make_answer(latency_ms=150, confidence=0.7))
    add_notes("next", 2, answer=make_answer(latency_ms=50))
    control, candidate = gathered().arms()
    assert control.counts.tolist() == [[8, 2, 0]] * 4
    assert candidate.counts.tolist() == [[9, 1, 0]] * 3
    assert sorted(candidate.latencies_ms) == [50, 50, 150, 150, 150]
    assert sorted(candidate.confidences) == pytest.approx([0.7, 0.7, 0.7, 0.9, 0.9])
    assert (control.assigned, control.failed, candidate.assigned, candidate.failed) == (4, 0, 5, 0)
    assert (candidate.finished, candidate.reviewed) == (3, 3)


def test_a_note_whose_entities_nobody_decided_is_finished_but_no_evidence(
    gathered: Callable[[], Gathered], add_notes: Add
) -> None:
    add_notes("next", 3, review_state="finished", finished_at=BEGAN + timedelta(hours=2))
    candidate = gathered().arms()[1]
    assert (candidate.finished, candidate.reviewed) == (3, 0)


def test_failures_are_the_arms_that_was_to_answer(
    gathered: Callable[[], Gathered], add_notes: Add, add_failures: Callable[..., None]
) -> None:
    add_notes("next", 5, hits=9)
    lost = add_notes("next", 2, hits=9, route="stable")  # production had to answer
    add_notes("next", 1, state="dead", answer=None, route=None, error="internal_error", attempts=8)
    add_notes("next", 1, state="queued", answer=None, route=None, attempts=2, error="model_unavailable")
    tried = add_notes("next", 1, attempts=1)
    add_notes("next", 4, state="queued", answer=None, route=None)  # nothing is known of them
    add_failures("next", 3)
    add_failures("next", 0, ids=[tried[0]])  # counted already
    add_failures("stable", 1)
    add_failures("other", 7)
    control, candidate = gathered().arms()
    assert (candidate.assigned, candidate.failed) == (5 + 2 + 1 + 1 + 1 + 3, 2 + 1 + 1 + 1 + 3)
    assert (control.assigned, control.failed) == (1, 1)
    assert (candidate.reviewed, control.reviewed) == (5, 0)
    assert len(lost) == 2


@pytest.mark.parametrize(
    ("after", "counted"),
    [
        (timedelta(seconds=-1), 0),
        (SETTLE - timedelta(seconds=1), 0),
        (SETTLE, 1),
        (timedelta(days=2), 0),
    ],
)
def test_only_the_rollouts_own_time(
    gathered: Callable[[], Gathered],
    add_notes: Add,
    add_failures: Callable[..., None],
    after: timedelta,
    counted: int,
) -> None:
    add_notes("next", 1, hits=9, after=after)
    add_failures("next", 1, after=after)
    candidate = gathered().arms()[1]
    assert (candidate.reviewed, candidate.failed) == (counted, counted)


def test_arms_may_be_cut_at_a_time(gathered: Callable[[], Gathered], add_notes: Add) -> None:
    add_notes("stable", 2, hits=8, after=timedelta(hours=1))
    add_notes("stable", 3, hits=8, after=timedelta(hours=30))
    found = gathered()
    assert [found.arms(until)[0].reviewed for until in (None, BEGAN + timedelta(days=1), BEGAN)] == [5, 2, 0]


def test_there_must_be_one_candidate(routing_file: Path) -> None:
    routing = read_routing(routing_file)
    with pytest.raises(ValueError, match="neither"):
        candidate_of(routing)
    text = routing_file.read_text(encoding="utf-8")
    more = "canary: {target: next, share: 0.1}\nexperiment: {name: a, target: next}\n"
    routing_file.write_text(text + more, encoding="utf-8")
    with pytest.raises(ValueError, match="at once"):
        candidate_of(read_routing(routing_file))
