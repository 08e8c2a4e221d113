"""The calibration curve and how far off confidences are."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration import isotonic, reliability, threshold_of

answers = st.lists(
    st.tuples(st.integers(0, 20).map(lambda twentieths: twentieths / 20), st.sampled_from([0.0, 1.0])),
    min_size=1,
    max_size=60,
)


def fitted(pairs: list[tuple[float, float]]) -> list[Fraction]:
    """The isotonic fit at each different probability, by its min-max formula (Barlow et al. 1972)."""
    places = sorted({probability for probability, _ in pairs})
    heaps = [[Fraction(int(right)) for probability, right in pairs if probability == place] for place in places]

    def mean(low: int, high: int) -> Fraction:
        inside = [right for heap in heaps[low : high + 1] for right in heap]
        return sum(inside, Fraction(0)) / len(inside)

    size = range(len(places))
    return [max(min(mean(low, high) for high in size if high >= at) for low in size if low <= at) for at in size]


@settings(deadline=None)
@given(answers)
def test_the_curve_is_the_isotonic_fit(pairs: list[tuple[float, float]]) -> None:
    _, shares = isotonic(pairs, least=1)
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], [float(value) for value in sorted(set(fitted(pairs)))], atol=1e-6)


@settings(deadline=None)
@given(answers, st.integers(1, 30))
def test_the_curve_rises_from_nothing(pairs: list[tuple[float, float]], least: int) -> None:
    knots, shares = isotonic(pairs, least=least)
    assert (knots[0], shares[0]) == (0, 0)
    assert (np.diff(knots[1:]) > 0).all()
    assert knots[1] >= 0
    assert (np.diff(shares) >= 0).all()
    assert ((shares >= 0) & (shares <= 1)).all()
    assert len(knots) == len(shares) <= 1 + max(1, len(pairs) // least)


@settings(deadline=None)
@given(answers)
def test_the_order_of_answers_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    for one, two in zip(isotonic(pairs, least=5), isotonic(pairs[::-1], least=5), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("pairs", "least", "knots", "shares"),
    [
        ([(0.2, 0), (0.8, 1)], 1, [0.2, 0.8], [0, 1]),
        ([(0.2, 1), (0.8, 0)], 1, [0.5], [0.5]),  # against the order: pooled
        ([(0.1, 0), (0.4, 1), (0.6, 0), (0.9, 1)], 1, [0.1, 0.5, 0.9], [0, 0.5, 1]),
        ([(0.5, 0), (0.5, 1)], 1, [0.5], [0.5]),  # of one probability there is one share
        ([(0.2, 0), (0.8, 1)], 2, [0.5], [0.5]),  # too few for a knot of their own
        ([(0.1, 0), (0.3, 0), (0.7, 1), (0.8, 1), (0.9, 1)], 2, [0.2, 0.8], [0, 1]),  # the odd last one too
    ],
)
def test_pooling(pairs: list[tuple[float, float]], least: int, knots: list[float], shares: list[float]) -> None:
    found_knots, found_shares = isotonic(pairs, least=least)
    np.testing.assert_allclose(found_knots, [0, *knots], atol=1e-6)
    np.testing.assert_allclose(found_shares, [0, *shares], atol=1e-6)


def test_one_lucky_answer_is_no_certainty() -> None:
    knots, shares = isotonic([(0.5, i % 2) for i in range(50)] + [(0.99, 1.0)])
    assert shares.max() < 0.6
    assert len(knots) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), min_size=1, max_size=30))
def test_calibrated_answers_have_no_error(groups: list[tuple[int, int]]) -> None:
    """Of twenty answers of confidence k/20, k are right."""
    pairs = [(k / 20, float(i < k)) for k, times in groups for _ in range(times) for i in range(20)]
    error, rows = reliability(pairs)
    assert error == pytest.approx(0, abs=1e-9)
    for confidence, right, _ in rows:
        assert confidence == pytest.approx(right)


@settings(deadline=None)
@given(answers, st.integers(1, 15))
def test_the_error_is_a_share_and_bins_hold_every_answer(pairs: list[tuple[float, float]], bins: int) -> None:
    error, rows = reliability(pairs, bins)
    assert 0 <= error <= 1
    assert sum(count for *_, count in rows) == len(pairs)
    assert [confidence for confidence, *_ in rows] == sorted(confidence for confidence, *_ in rows)
    assert len(rows) <= bins


def test_the_error_by_hand() -> None:
    # 0.9 sure and half right: 0.4 off, half of the answers; the others are 0.1 off; 1.0 is of the last bin
    pairs = [(0.8, 1.0), (1.0, 0.0), (0.1, 0.0), (0.1, 0.0)]
    error, rows = reliability(pairs, 4)
    np.testing.assert_allclose(rows, [(0.1, 0, 2), (0.9, 0.5, 2)])
    assert error == pytest.approx(0.25)
    assert reliability([]) == (0, [])


@pytest.mark.parametrize(
    ("shares", "wanted", "threshold"),
    [
        ({0.12: 0.2, 0.32: 0.4, 0.52: 0.8}, 0.5, 0.45),  # the tenth from 0.45 holds those of 0.52
        ({0.12: 0.6, 0.52: 0.8}, 0.5, 0.05),
        ({0.12: 0.2, 0.32: 0.4, 0.52: 0.8}, 0.9, 0.5),  # nowhere: the half
    ],
)
def test_threshold(shares: dict[float, float], wanted: float, threshold: float) -> None:
    pairs = [(confidence, float(i < 50 * share)) for confidence, share in shares.items() for i in range(50)]
    assert threshold_of(pairs, wanted=wanted) == pytest.approx(threshold)


def test_a_threshold_stands_on_twenty_answers() -> None:
    assert threshold_of([(0.12, 1.0)] * 19 + [(0.62, 1.0)] * 20) == pytest.approx(0.55)
