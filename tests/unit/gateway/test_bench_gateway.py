"""The load run's arithmetic: what it says of the gateway is only as good as this."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench(script: Callable[[str], ModuleType], root: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "scripts")  # it imports the module beside it
        yield script("bench_gateway")


@pytest.fixture(scope="module")
def load(bench: Any) -> Any:
    return bench.load


def test_notes_are_the_same_for_a_seed_and_of_all_lengths(load: Any) -> None:
    first, again, other = (list(itertools.islice(load.notes(seed), 200)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    words = [len(text.split()) for text in first]
    assert min(words) < 80
    assert max(words) > 270
    assert all(50 <= count <= 310 for count in words)
    assert not any("{" in text for text in first)


def test_arrivals_come_at_their_rate_and_in_order(load: Any) -> None:
    arrivals = load.poisson(20, 100, seed=3)
    assert len(arrivals) == pytest.approx(2000, rel=0.1)
    due = [arrival.due for arrival in arrivals]
    assert due == sorted(due)
    assert due[-1] < 100
    gaps = [b - a for a, b in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread == pytest.approx(mean, rel=0.15)  # as exponential gaps have it
    assert arrivals == load.poisson(20, 100, seed=3)


def test_a_reply_counts_from_when_it_was_due_and_the_gateway_from_when_it_was_sent(load: Any) -> None:
    reply = load.Reply(due=1.0, sent=1.5, ended=2.0, status=200, wait_ms=100, model_ms=380, has_timing=True)
    assert reply.latency_ms == pytest.approx(1000)
    assert reply.own_ms == pytest.approx(20)


def test_percentiles(load: Any) -> None:
    assert load.spread(list(range(101))) == {"p50": 50.0, "p95": 95.0, "count": 101}
    assert load.spread([])["count"] == 0
    alone = [float(x) for x in range(1000)]
    difference, low, high = load.p95_difference(alone, [x + 20 for x in alone])
    assert (difference, low, high) == (20.0, 20.0, 20.0)


def test_throughput_leaves_out_refusals_and_stragglers(load: Any) -> None:
    replies = [load.Reply(0, 0, ended, status) for ended, status in [(1, 200), (9, 200), (5, 503), (11, 200)]]
    assert load.throughput(replies, 10) == 0.2


@pytest.mark.parametrize(
    ("figures", "expected"),
    [((20, 25), "met"), ((30, 25), "missed"), ((20, 25, 10, 40), "open"), ((20, 25, 10, 24), "met"),
     ((30, 25, 26, 40), "missed")],
)  # fmt: skip
def test_a_verdict_is_open_where_the_interval_has_the_limit_in_it(load: Any, figures: Any, expected: str) -> None:
    assert load.verdict(*figures) == expected


def test_every_request_has_one_ending(load: Any) -> None:
    def reply(status: int, seconds: float = 1.0, retry_after: bool = False) -> Any:
        return load.Reply(0.0, 0.0, seconds, status, retry_after=retry_after)

    replies = [reply(200), reply(503, retry_after=True), reply(503), reply(504, 10.2), reply(0), reply(500),
               reply(200, 11.5)]  # fmt: skip
    assert load.endings(replies, 10.0) == {
        "answered": 1, "refused_503": 1, "too_late_504": 1, "over_deadline": 1, "hung": 1, "other": 2
    }  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    """A run that meets every target, but for what is changed."""
    endings = {"answered": 40, "refused_503": 0, "too_late_504": 0, "over_deadline": 0, "hung": 0, "other": 0}
    flood = {
        "urgent_alone": {"p95": 100.0, "count": 40},
        "urgent_flooded": {"p95": 190.0, "count": 40},
        "urgent_endings": endings,
        "normal_endings": {**endings, "refused_503": 300},
        "after": [{"ready": True, "ready_seconds": 0.3, "drained": True, "drained_seconds": 7.0}],
    }
    level = {"name": "50%", "p95_difference": 12.0, "interval": [5.0, 20.0], "gateway": {"own": {"p95": 9.0}}}
    return {"cost": [level], "overload": {**flood, **changes}}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, None),
        ({"urgent_flooded": {"p95": 210.0, "count": 40}}, "urgent p95 over its value alone"),
        ({"urgent_flooded": {"p95": 190.0, "count": 41}}, "urgent notes without an answer"),
        ({"normal_endings": {"over_deadline": 0, "hung": 1, "other": 0}}, "ended in no allowed way"),
        ({"after": [{"ready": False, "ready_seconds": 0.1, "drained": True}]}, "ready"),
        ({"after": [{"ready": True, "ready_seconds": 5.0, "drained": True}]}, "ready"),
    ],
)
def test_judgement(bench: Any, changes: dict[str, Any], missed: str | None) -> None:
    rows = bench.judged(report(**changes))
    found = [row["what"] for row in rows if row["verdict"] != "met"]
    assert len(found) == (missed is not None)
    assert missed is None or missed in found[0]
