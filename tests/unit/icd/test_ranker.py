"""The ranker: probabilities of a mention's candidates, its curve of confidence, and its JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clincode.icd.ranker import Ranker
from clincode.types import FloatArray

FEATURES, UNITS = 4, 3


def floats(*shape: int, limit: float = 8.0) -> st.SearchStrategy[FloatArray]:
    return arrays(np.float32, shape, elements=st.floats(-limit, limit, width=32))


@st.composite
def rankers(draw: st.DrawFn) -> Ranker:
    knots = draw(st.integers(2, 6))
    # Knots that are apart, as isotonic regression leaves them.
    steps = draw(arrays(np.float32, knots, elements=st.floats(0.0625, 1, width=32)))
    shares = np.sort(draw(arrays(np.float32, knots, elements=st.floats(0, 1, width=32))))
    return Ranker(
        draw(floats(FEATURES)),
        draw(arrays(np.float32, FEATURES, elements=st.floats(0.125, 8, width=32))),
        draw(floats(FEATURES, UNITS)),
        draw(floats(UNITS)),
        draw(floats(UNITS)),
        ((np.cumsum(steps) - steps[0]) / max(float(np.sum(steps[1:])), 1e-3)).astype(np.float32),
        shares,
    )


def plain(**changes: FloatArray) -> Ranker:
    """The score is the tangens of the first feature."""
    hidden = np.zeros((FEATURES, 1), dtype=np.float32)
    hidden[0, 0] = 1
    zeros, ones = np.zeros(FEATURES, dtype=np.float32), np.ones(FEATURES, dtype=np.float32)
    return replace(Ranker(zeros, ones, hidden, np.zeros(1, np.float32), np.ones(1, np.float32)), **changes)


def rows(*first: float) -> FloatArray:
    features = np.zeros((len(first), FEATURES), dtype=np.float32)
    features[:, 0] = first
    return features


@given(rankers(), st.integers(1, 12).flatmap(lambda n: floats(n, FEATURES, limit=1e6)))
def test_probabilities_are_a_share_each_of_one(ranker: Ranker, features: FloatArray) -> None:
    probabilities = ranker.probabilities(features)
    assert probabilities.shape == (len(features),)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@given(rankers(), floats(5, FEATURES), st.permutations(range(5)))
def test_the_order_of_candidates_says_nothing(ranker: Ranker, features: FloatArray, order: list[int]) -> None:
    np.testing.assert_allclose(ranker.probabilities(features)[order], ranker.probabilities(features[order]), atol=1e-6)


def test_by_hand() -> None:
    expected = np.exp(np.tanh([0.0, 1.0, -2.0]))
    np.testing.assert_allclose(plain().probabilities(rows(0, 1, -2)), expected / expected.sum(), rtol=1e-6)
    centred = plain(centre=np.full(FEATURES, 5, np.float32), scale=np.full(FEATURES, 2, np.float32))
    np.testing.assert_allclose(centred.probabilities(rows(5, 7, 1)), expected / expected.sum(), rtol=1e-6)
    assert plain().probabilities(rows(3)).tolist() == [1.0]


def test_a_feature_far_out_counts_no_more_than_six_deviations() -> None:
    ranker = plain(hidden=np.full((FEATURES, 1), 0.1, np.float32))
    near, far, beyond = ranker.probabilities(rows(0, 6, 6e9))
    assert far == beyond > near


@given(rankers(), arrays(np.float32, 20, elements=st.floats(0, 1, width=32)))
def test_confidence_rises_with_probability(ranker: Ranker, probabilities: FloatArray) -> None:
    confidence = ranker.confidence(np.sort(probabilities))
    assert confidence.dtype == np.float32
    assert (np.diff(confidence) >= -1e-6).all()
    assert ranker.share_right[0] - 1e-6 <= confidence[0]
    assert confidence[-1] <= ranker.share_right[-1] + 1e-6


def test_a_curve_between_its_knots() -> None:
    curve = plain(probability=np.array([0.1, 0.5, 0.9], np.float32), share_right=np.array([0.2, 0.6, 0.7], np.float32))
    asked = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0], np.float32)
    np.testing.assert_allclose(curve.confidence(asked), [0.2, 0.2, 0.4, 0.6, 0.65, 0.7, 0.7], atol=1e-6)
    np.testing.assert_allclose(plain().confidence(asked), asked)


@given(rankers(), floats(6, FEATURES))
def test_through_json_it_ranks_the_same(ranker: Ranker, features: FloatArray) -> None:
    data = json.loads(json.dumps(ranker.to_json()))
    read = Ranker.from_json(data)
    assert read.hidden.shape == (FEATURES, UNITS)
    assert read.centre.shape == (FEATURES,)
    assert all(getattr(read, name).dtype == np.float32 for name in data)
    assert read.to_json() == data
    # Five decimals are kept; a unit has a slope of one at most, so that scores hardly move.
    np.testing.assert_allclose(read.probabilities(features), ranker.probabilities(features), atol=0.01)
    np.testing.assert_allclose(read.confidence(features[0]), ranker.confidence(features[0]), atol=1e-3)


@pytest.mark.parametrize("name", ["centre", "scale", "hidden", "hidden_bias", "output", "probability", "share_right"])
def test_json_without_a_part_is_no_ranker(name: str) -> None:
    data = plain().to_json()
    del data[name]
    with pytest.raises(KeyError, match=name):
        Ranker.from_json(data)
