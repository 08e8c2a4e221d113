"""Differences, tests and sample sizes, against figures of the literature and against what chance does."""

import math

import numpy as np
import pytest

from gateway.feedback.intervals import Counts, bootstrap_f1
from gateway.rollout.measures import (
    Arm,
    difference,
    f1_of,
    fisher_p,
    ks_distance,
    ks_p,
    permutation_p,
    power_of,
    sample_size,
    two_sided_p,
)
from gateway.rollout.simulate import Site, draw_counts


def drawn(seed: int, notes: int, f1: float = 0.8) -> Counts:
    return draw_counts(np.random.default_rng(seed), notes, np.full(notes, f1), Site())


def test_f1_and_its_error_are_those_of_the_bootstrap() -> None:
    counts = drawn(1, 600)
    f1, sd = f1_of(counts)
    correct, false, missed = counts.sum(axis=0)
    assert f1 == pytest.approx(2 * correct / (2 * correct + false + missed))
    as_sets = np.stack([counts[:, 0], counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]], axis=1)
    low, high = bootstrap_f1(as_sets[:, None, :])[0]
    assert sd / math.sqrt(600) == pytest.approx((high - low) / (2 * 1.96), rel=0.08)


@pytest.mark.parametrize("counts", [np.zeros((0, 3)), np.zeros((5, 3)), np.ones((1, 3))])
def test_too_little_has_no_error(counts: Counts) -> None:
    arm = Arm(counts=counts.astype(np.int64))
    found = difference(arm, Arm(counts=drawn(1, 50)))
    assert math.isinf(found.error)
    assert found.z == 0


def test_p_of_the_permutation_test_is_uniform_where_nothing_differs() -> None:
    """Sizes that differ, too: a canary's are never equal."""
    ps = np.sort([permutation_p(drawn(2 * i, 60), drawn(2 * i + 1, 180), permutations=199) for i in range(400)])
    steps = (np.arange(400) + 0.5) / 400
    assert np.abs(ps - steps).max() < 1.63 / math.sqrt(400)  # Kolmogorov and Smirnov at 0.01
    assert np.mean(ps < 0.05) == pytest.approx(0.05, abs=0.03)


def test_p_is_right_where_only_the_spreads_differ() -> None:
    """A plain permutation test would find a difference of 'F1' in one of spreads alone."""
    narrow, wide = Site(difficulty=0.01), Site(difficulty=0.25)
    ps = []
    for seed in range(300):
        draw = np.random.default_rng(seed)
        one = draw_counts(draw, 300, np.full(300, 0.7), narrow)
        other = draw_counts(draw, 60, np.full(60, 0.7), wide)
        ps.append(permutation_p(one, other, permutations=199))
    assert np.mean(np.array(ps) < 0.05) < 0.09


def test_p_is_the_same_each_time_and_small_for_what_differs() -> None:
    one, other = drawn(1, 1500, 0.80), drawn(2, 1500, 0.84)
    p = permutation_p(one, other, permutations=999)
    assert p == permutation_p(one, other, permutations=999) == 0.001
    assert permutation_p(one, other[:1]) == 1.0


@pytest.mark.parametrize(
    ("power", "n"),
    [(0.8, 566), (0.9, 757), (0.999, 1837)],
)
def test_sample_sizes(power: float, n: int) -> None:
    """2 (z + z')² sd² / d², by hand: 2 · (1.9600 + 0.8416)² · 0.12² / 0.02² = 565.1."""
    assert sample_size(0.12, 0.02, power=power) == n
    assert power_of(n, 0.12, 0.02) == pytest.approx(power, abs=0.001)


@pytest.mark.parametrize(("sd", "effect", "alpha"), [(math.inf, 0.02, 0.05), (0.1, 0, 0.05), (0.1, 0.02, 1.5)])
def test_sample_sizes_of_nonsense(sd: float, effect: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="sd must be"):
        sample_size(sd, effect, alpha=alpha)


def test_fishers_tea() -> None:
    """The lady who named three of four cups (Fisher 1935): 17 of 70."""
    assert fisher_p(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert fisher_p(4, 4, 0, 4) == pytest.approx(1 / 70)
    assert fisher_p(0, 50, 3, 900) == 1.0
    assert fisher_p(0, 0, 0, 0) == 1.0


def test_kolmogorov_and_smirnov() -> None:
    one, other = np.arange(200) / 200, np.arange(200) / 200 + 0.136
    assert ks_distance(one, other) == pytest.approx(0.14, abs=0.006)
    assert ks_p(one, other) == pytest.approx(0.042, abs=0.015)  # 1.36 · √(2/200) is the bound at 0.05
    assert ks_p(one, one) == 1.0
    assert ks_p(one, np.zeros(0)) == 1.0
    assert two_sided_p(1.959964) == pytest.approx(0.05, abs=1e-6)
