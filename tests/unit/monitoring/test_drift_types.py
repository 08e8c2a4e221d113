"""Chi-squared of entity types: against known values, and its false alarms where notes are alike inside."""

import json

import numpy as np
import pytest
from drift_samples import types_of
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift.gamma import chi2_tail, upper_gamma
from monitoring.drift.types import TYPES, Floats, TypeMoments, compare_types, cramers_v


@pytest.mark.parametrize(
    ("statistic", "df", "p"),
    [
        (3.841458820694124, 1, 0.05),
        (6.634896601021213, 1, 0.01),
        (9.487729036781154, 4, 0.05),
        (13.276704135987622, 4, 0.01),
        (18.466826952903151, 4, 0.001),
        (124.34211340400407, 100, 0.05),
        (2.0, 2, 0.36787944117144233),  # exp(-1)
        (0, 3, 1.0),
        (2000.0, 4, 0.0),
        (float("inf"), 4, 0.0),
    ],
)
def test_the_tail_against_known_values(statistic: float, df: float, p: float) -> None:
    assert chi2_tail(statistic, df) == pytest.approx(p, rel=1e-9, abs=1e-12)


@given(st.floats(0, 400), st.integers(1, 40))
def test_the_tail_of_even_df_against_its_closed_form(statistic: float, half: int) -> None:
    """With 2k degrees of freedom the tail is that of a Poisson count below k (Abramowitz and Stegun 26.4.21)."""
    terms = np.cumprod([1.0, *(statistic / 2 / n for n in range(1, half))])
    assert chi2_tail(statistic, 2 * half) == pytest.approx(
        float(np.exp(-statistic / 2) * terms.sum()), rel=1e-8, abs=1e-15
    )


@given(st.floats(0.1, 60), st.floats(0, 100), st.floats(0.01, 10))
def test_the_tail_falls(a: float, x: float, more: float) -> None:
    assert 0 <= upper_gamma(a, x + more) <= upper_gamma(a, x) + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize(("statistic", "df"), [(-1, 4), (1, 0), (float("nan"), 4)])
def test_what_has_no_tail_is_refused(statistic: float, df: float) -> None:
    with pytest.raises(ValueError, match="chi-squared"):
        chi2_tail(statistic, df)


def moments_of(counts: Floats) -> TypeMoments:
    moments = TypeMoments()
    moments.add_counts(counts.astype(float))
    return moments


def clustered(draw: np.random.Generator, notes: int, alpha: list[float]) -> Floats:
    """Each note has a mix of its own around the same mean, and 1 to 40 entities of it (Dirichlet-multinomial)."""
    sizes, mixes = draw.integers(1, 41, size=notes), draw.dirichlet(alpha, size=notes)
    return draw.multinomial(sizes, mixes).astype(float)


ALPHA = [2.0, 0.6, 0.9, 0.7, 0.8]
OTHER_ALPHA = [1.4, 0.6, 1.5, 0.7, 0.8]


@pytest.mark.parametrize(("reference_notes", "week_notes"), [(300, 300), (2000, 500), (400, 3000)])
def test_false_alarms_are_as_many_as_the_limit_says(reference_notes: int, week_notes: int) -> None:
    draw = np.random.default_rng(7)
    notes = clustered(draw, 50_000, ALPHA)
    tests = [
        compare_types(*(moments_of(notes[draw.integers(len(notes), size=n)]) for n in (week_notes, reference_notes)))
        for _ in range(1000)
    ]
    found = [test for test in tests if test is not None]
    assert len(found) == 1000
    # 1% of 1000, and what chance makes of that (99.9%: 1 to 21)
    assert 0.001 <= np.mean([test.p < 0.01 for test in found]) <= 0.021
    assert np.mean([test.p_uncorrected < 0.01 for test in found]) > 0.3  # why it is corrected
    assert np.mean([test.design_effect for test in found]) > 3


def test_another_mix_is_seen_and_its_size_does_not_depend_on_how_many_notes() -> None:
    draw = np.random.default_rng(11)
    reference = moments_of(clustered(draw, 3000, ALPHA))
    found = [compare_types(moments_of(clustered(draw, n, OTHER_ALPHA)), reference) for n in (500, 5000)]
    assert found[0] is not None
    assert found[1] is not None
    assert max(test.p for test in found if test) < 0.01
    assert found[0].cramers_v == pytest.approx(found[1].cramers_v, abs=0.04)


def test_independent_entities_need_no_correction() -> None:
    draw = np.random.default_rng(3)
    one, other = (moments_of(draw.multinomial(np.ones(n, dtype=int), [0.4, 0.1, 0.2, 0.1, 0.2])) for n in (2000, 10**6))
    test = compare_types(one, other)
    assert test is not None
    assert test.design_effect == pytest.approx(1, abs=0.05)
    assert test.p == pytest.approx(test.p_uncorrected, abs=0.05)


def test_pearson_by_hand() -> None:
    """A reference so large that its own chance is nothing."""
    one, other = TypeMoments(), TypeMoments()
    one.add_counts(np.repeat(np.eye(5), [30, 10, 20, 20, 20], axis=0))
    other.add_counts(np.repeat(np.eye(5), [100_000] * 5, axis=0))
    test = compare_types(one, other)
    assert test is not None
    assert test.chi2 == pytest.approx(10, rel=1e-3)  # 10²/20 twice
    assert test.p_uncorrected == pytest.approx(0.0404, abs=1e-3)


def test_cramers_v_by_hand() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    table = np.array([p, q]) * 1000
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    chi2 = ((table - expected) ** 2 / expected).sum()
    assert cramers_v(p, q) == cramers_v(q, p) == pytest.approx((chi2 / 2000) ** 0.5)
    assert cramers_v(p, p) == 0
    assert cramers_v(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == pytest.approx(1)


def test_moments_add_up_and_survive_json() -> None:
    one, other, both = TypeMoments(), TypeMoments(), TypeMoments()
    for number in range(50):
        (one if number % 2 else other).add(types_of(number))
        both.add(types_of(number))
    one += other
    again = TypeMoments.from_json(json.loads(json.dumps(one.to_json())))
    for moments in (one, again):
        assert moments.notes == both.notes == 50
        assert (moments.total == both.total).all()
        assert (moments.products == both.products).all()


def test_covariance_is_that_of_the_notes_shares() -> None:
    """Notes of one entity each: the multinomial's."""
    draw = np.random.default_rng(5)
    moments = moments_of(draw.multinomial(np.ones(5000, dtype=int), [0.4, 0.1, 0.2, 0.1, 0.2]))
    p = moments.total / 5000
    assert moments.covariance() == pytest.approx((np.diag(p) - np.outer(p, p)) / 4999)


def test_too_few_notes_and_notes_without_entities_are_not_tested() -> None:
    few, many, empty = TypeMoments(), TypeMoments(), TypeMoments()
    for number in range(200):
        many.add(types_of(number))
        empty.add([])
        if number < 99:
            few.add(types_of(number))
    assert compare_types(few, many) is None
    assert compare_types(many, few) is None
    assert compare_types(empty, many) is None
    assert compare_types(many, many) is not None


def test_notes_that_are_all_the_same_vary_by_nothing() -> None:
    same = TypeMoments()
    for _ in range(200):
        same.add(TYPES)
    assert compare_types(same, same) is None


def test_an_unknown_type_is_refused_and_not_counted() -> None:
    moments = TypeMoments()
    with pytest.raises(KeyError):
        moments.add(["DIAGNOSIS", "GENE"])
    assert (moments.notes, moments.entities) == (0, 0)


@pytest.mark.parametrize("change", [{"notes": -1}, {"products": [[1]]}, {"entities": {}}])
def test_other_json_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        TypeMoments.from_json({**TypeMoments().to_json(), **change})
