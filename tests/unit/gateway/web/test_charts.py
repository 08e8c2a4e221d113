"""Charts: figures in, SVG with a label out."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.review.overview import Acceptance, Backlog, Day
from gateway.web import charts
from gateway.web.pages import ago, duration, number, percent
from gateway.web.words import person


def _days(*finished: int) -> list[Day]:
    first = date(2026, 11, 1)
    return [
        Day(first + timedelta(days=i), 2 * count, count, 1.0 if count else None, 90.0 if count else None, None, None)
        for i, count in enumerate(finished)
    ]


def test_bars_stay_within_the_chart() -> None:
    svg = str(charts.throughput(_days(0, 3, 17)))
    assert 'aria-label="40 notes received and 20 finished in 3 days"' in svg
    assert svg.count("<rect") == 6
    assert all(0 <= float(y) <= 164 for y in re.findall(r'<rect[^>]* y="([\d.]+)"', svg))
    assert ">50<" in svg


def test_a_day_without_notes_breaks_the_line() -> None:
    svg = str(charts.latency(_days(1, 1, 0, 1, 1), "answer", "time <b>"))
    assert svg.count("<polyline") == 4
    assert svg.count("<circle") == 8
    assert "time &lt;b&gt;" in svg
    assert ">2 min<" in svg


def test_nothing_to_draw() -> None:
    assert "<polyline" not in str(charts.latency(_days(0), "answer", ""))
    assert "0 notes" in str(charts.throughput(_days(0)))
    assert "0 notes" in str(charts.backlog(Backlog("now", 0, 0, 0, 0), 0))


def test_shares_of_a_bar() -> None:
    svg = str(charts.acceptance(Acceptance("E11.9", 5, 3, 2, 9), 20))
    assert re.findall(r'width="([\d.]+)" height="12"/>', svg) == ["50.0", "30.0", "20.0"]
    assert 'aria-label="5 accepted, 3 changed, 2 rejected"' in svg


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.25, "250 ms"), (6, "6 s"), (6.14, "6.1 s"), (90, "1.5 min"), (7200, "2 h")],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_words() -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert [ago(now - timedelta(minutes=m), now) for m in (0, 5, 130, 3000)] == [
        "just now",
        "5 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert (number(0.5), number(None), percent(0.825), percent(None)) == ("0.50", "–", "82%", "–")
    assert (person("user:maria"), person(None)) == ("maria", "")
