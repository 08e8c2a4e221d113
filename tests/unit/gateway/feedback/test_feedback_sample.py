"""A sample is the same for the same seed and notes, and in proportion."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from feedback_samples import ANSWERED, MARIA, make_answer
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.feedback.sample import Plan, Stratum, allocate, band, choose, draw_sample, read_sample
from gateway.storage.audit import Audit
from gateway.storage.database import Database

Add = Callable[..., str]
WEEK = "2026-W48"


def strata(sizes: list[int]) -> dict[Stratum, int]:
    return {Stratum("progress_note", f"ward {i}", "no codes"): size for i, size in enumerate(sizes)}


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([6, 5, 4], 4, [2, 1, 1]),  # 1.6, 1.33, 1.07: the largest remainder
        ([970, 20, 10], 10, [8, 1, 1]),  # 9.7, 0.2, 0.1: the small ones are lifted
        ([3, 2], 10, [3, 2]),  # fewer notes than places
        ([5, 0], 2, [2, 0]),
        ([100, 1, 1, 1], 2, [2, 0, 0, 0]),  # more strata than places: no lifting
        ([], 5, []),
        ([4], 0, [0]),
    ],
)
def test_allocation_by_hand(sizes: list[int], total: int, expected: list[int]) -> None:
    assert list(allocate(strata(sizes), total, WEEK).values()) == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=30), st.integers(0, 300), st.text(max_size=8))
def test_any_allocation_is_whole_and_in_proportion(sizes: list[int], total: int, seed: str) -> None:
    found = list(allocate(strata(sizes), total, seed).values())
    places, filled = min(total, sum(sizes)), [size for size in sizes if size]
    assert sum(found) == places
    assert all(0 <= count <= size for count, size in zip(found, sizes, strict=True))
    if not places:
        return
    exact = [size * places / sum(sizes) for size in sizes]
    is_lifted = len(filled) <= places
    assert all(count < share + 1 for count, share in zip(found, exact, strict=True))
    if is_lifted:
        assert all(count >= 1 for count, size in zip(found, sizes, strict=True) if size)
    if not is_lifted or all(share >= 1 for share, size in zip(exact, sizes, strict=True) if size):
        assert all(count > share - 1 for count, share in zip(found, exact, strict=True))
    pairs = sorted(zip(sizes, found, strict=True))
    assert all(a[1] <= b[1] for a, b in pairwise(pairs) if a[0] < b[0])


@given(st.permutations(range(40)), st.integers(0, 40))
def test_the_order_of_the_notes_does_not_matter(order: list[int], count: int) -> None:
    chosen = choose(map(str, order), count, WEEK)
    assert chosen == choose(map(str, range(40)), count, WEEK)
    assert len(set(chosen)) == count


@given(st.permutations(range(12)), st.lists(st.integers(1, 9), min_size=12, max_size=12), st.integers(1, 40))
def test_the_order_of_the_strata_does_not_matter(order: list[int], sizes: list[int], total: int) -> None:
    in_order = strata(sizes)
    names = list(in_order)
    mixed = {names[i]: sizes[i] for i in order}
    assert allocate(mixed, total, WEEK) == allocate(in_order, total, WEEK)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (None, "no codes"),
        (0.0, "under 0.5"),
        (0.4999, "under 0.5"),
        (0.5, "0.5 to 0.8"),
        (0.8, "0.8 and over"),
        (1.0, "0.8 and over"),
    ],
)
def test_bands(confidence: float | None, expected: str) -> None:
    assert band(confidence) == expected


def test_a_week_is_monday_to_monday() -> None:
    plan = Plan.of_week(WEEK)
    assert (plan.since, plan.until) == (datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC))
    assert (plan.seed, plan.size) == (WEEK, 200)
    assert Plan.of_week("2026-W53").until == datetime(2027, 1, 4, tzinfo=UTC)
    assert Plan.of_week(WEEK, seed="again").seed == "again"


@pytest.mark.parametrize("week", ["2026-48", "2026-W54", "2026-W00", "2025-W53", "last", "2026-W4", "0000-W01"])
def test_a_week_that_is_none(week: str) -> None:
    with pytest.raises(ValueError, match="no ISO week"):
        Plan.of_week(week)


def test_the_last_days_have_their_week_as_seed() -> None:
    plan = Plan.of_last_days(datetime(2027, 1, 2, 9, 30, tzinfo=UTC))
    assert (plan.seed, plan.since) == ("2026-W53", datetime(2026, 12, 26, 9, 30, tzinfo=UTC))


@pytest.fixture
def week_of_notes(add_note: Add) -> None:
    """40 in four strata (20, 12, 6, 2) of the week; others before, after, and without an answer."""
    groups: list[tuple[int, dict[str, Any]]] = [
        (20, {"department": "cardiology", "lowest_confidence": 0.9}),
        (12, {"department": "cardiology", "lowest_confidence": 0.3}),
        (6, {"department": None, "lowest_confidence": 0.7}),
        (2, {"note_type": "operative_report", "lowest_confidence": None, "answer": make_answer(codes=False)}),
    ]
    for count, values in groups:
        for _ in range(count):
            add_note(**values)
    add_note(answered_at=ANSWERED - timedelta(days=2))
    add_note(answered_at=ANSWERED + timedelta(days=6))
    add_note(state="queued", answer=None, answered_at=None)


def test_a_drawn_sample(week_of_notes: None, database: Database, audit: Audit) -> None:
    sample = draw_sample(database, audit, MARIA, Plan.of_week(WEEK, size=10))
    assert [(each.stratum, each.notes, each.sampled) for each in sample.strata] == [
        (Stratum("operative_report", "cardiology", "no codes"), 2, 1),
        (Stratum("progress_note", None, "0.5 to 0.8"), 6, 1),
        (Stratum("progress_note", "cardiology", "0.8 and over"), 20, 5),
        (Stratum("progress_note", "cardiology", "under 0.5"), 12, 3),
    ]
    assert sample.notes == 40
    drawn = [line["note_id"] for line in sample.lines]
    assert drawn == sorted(set(drawn))
    counts = Counter(Stratum(**line["stratum"]) for line in sample.lines)
    assert counts == {each.stratum: each.sampled for each in sample.strata}
    assert sum(line["weight"] for line in sample.lines) == pytest.approx(40)
    line = next(line for line in sample.lines if line["stratum"]["note_type"] == "progress_note")
    assert line["codes"][0] == {"code": "E11.9", "confidence": 0.95}
    assert line["entities"][1]["certainty"] == "negated"
    assert "chest pain" not in json.dumps(sample.lines)


def test_the_same_seed_draws_the_same(week_of_notes: None, database: Database, audit: Audit) -> None:
    plan = Plan.of_week(WEEK, size=10)
    first, again = (draw_sample(database, audit, MARIA, plan) for _ in range(2))
    other = draw_sample(database, audit, MARIA, Plan.of_week(WEEK, size=10, seed="another"))
    assert first == again
    assert {line["note_id"] for line in first.lines} != {line["note_id"] for line in other.lines}


def test_the_log_knows_the_sample(
    week_of_notes: None, database: Database, audit: Audit, feedback_lines: Callable[[], list[Any]]
) -> None:
    sample = draw_sample(database, audit, MARIA, Plan.of_week(WEEK, size=10))
    digest = hashlib.sha256("\n".join(line["note_id"] for line in sample.lines).encode()).hexdigest()
    ((actor, action, after),) = feedback_lines()
    assert (actor, action) == ("user:maria", "feedback.sampled")
    assert after == {
        "seed": WEEK,
        "since": "2026-11-23T00:00:00+00:00",
        "until": "2026-11-30T00:00:00+00:00",
        "notes": 40,
        "sampled": 10,
        "digest": digest,
    }


def test_a_week_without_notes(database: Database, audit: Audit) -> None:
    assert draw_sample(database, audit, MARIA, Plan.of_week(WEEK)).lines == ()


def test_a_file_that_is_no_sample_is_named(tmp_path: Path) -> None:
    path = tmp_path / "week.jsonl"
    path.write_text('{"note_id": "a"}\n\n{"text": "chest pain"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"week\.jsonl:3: not a line of a sample") as caught:
        read_sample(path)
    assert "chest" not in str(caught.value)
