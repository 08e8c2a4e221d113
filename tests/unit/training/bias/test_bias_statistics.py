import numpy as np
import pytest

from training.bias.statistics import Resamples, binomial_tail, holm, wilson


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (6, 250, 0.0110, 0.0514)],
)
def test_wilson(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("count", "of", "share", "p"),
    [(0, 5, 0.01, 1.0), (1, 2, 0.5, 0.75), (2, 2, 0.1, 0.01), (3, 3, 0.01, 1e-6), (1, 100, 0.01, 1 - 0.99**100)],
)
def test_binomial_tail(count: int, of: int, share: float, p: float) -> None:
    assert binomial_tail(count, of, share) == pytest.approx(p)


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_is_of_ratios_of_sums() -> None:
    """Group 3 of 4, reference 4 of 4 in two sentences, of which one differs: the swap gives the same size always."""
    group, reference = np.array([[1.0, 2.0], [2.0, 2.0]]), np.array([[2.0, 2.0], [2.0, 2.0]])
    found = Resamples(len(group), rng(), 999).difference(group, reference)
    assert found.value == -0.25
    assert (found.low, found.high) == (-0.5, 0.0)
    assert found.p == 1.0
    assert not found.excludes_zero


def test_equal_notes_do_not_differ() -> None:
    counts = np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 2.0]])
    found = Resamples(len(counts), rng(), 199).difference(counts, counts)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_ten_losses_of_ten_are_as_rare_as_a_coin_says() -> None:
    """Swaps of ten sentences leave all ten losses on one side in 2 of 1,024 cases."""
    group, reference = np.tile([0.0, 1.0], (10, 1)), np.tile([1.0, 1.0], (10, 1))
    found = Resamples(len(group), rng(), 99_999).difference(group, reference)
    assert found.value == -1
    assert found.p == pytest.approx(2 / 1024, rel=0.2)
    assert found.excludes_zero


def test_a_ratio_of_nothing_has_no_value() -> None:
    nothing = np.zeros((3, 2))
    assert np.isnan(Resamples(len(nothing), rng(), 99).score(nothing).value)
    assert np.isnan(Resamples(len(nothing), rng(), 99).difference(nothing, nothing).value)


def test_the_interval_of_a_share_is_near_wilsons() -> None:
    counts = np.array([[1.0, 1.0]] * 60 + [[0.0, 1.0]] * 40)
    found = Resamples(len(counts), rng(), 9999).score(counts)
    assert found.value == 0.6
    assert (found.low, found.high) == pytest.approx(wilson(60, 100), abs=0.015)


def test_false_alarms_are_as_many_as_alpha_says() -> None:
    """Both notes of 120 sentences are wrong with the same probability: p is below 0.05 in about 5% of 400 audits."""
    chance = np.random.default_rng(11)
    alarms = 0
    for _ in range(400):
        sides = [np.stack([chance.binomial(3, 0.9, 120), np.full(120, 3)], axis=1).astype(float) for _ in range(2)]
        alarms += Resamples(len(sides[0]), chance, 299).difference(sides[0], sides[1]).p < 0.05
    assert 400 * 0.02 <= alarms <= 400 * 0.085
