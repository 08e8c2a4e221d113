"""Matched pairs, calibration, and what they allow to be said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clincode.labels import bio_labels
from clincode.model import BertForClinicalNER
from training.corpora import TaggedSentence
from training.ethics import (
    TEMPLATES,
    VARIANTS,
    BiasResult,
    ethics_assessment,
    expected_calibration_error,
    plot_reliability,
    recommendation,
    reliability,
)

LABEL_NAMES = bio_labels(("Chemical", "Disease"))


ALIKE = BiasResult("sex", "The {} has gout.", {"man": (("DIAG", "gout"),), "woman": (("DIAG", "gout"),)})


def test_calibration_is_the_mean_distance_of_bins_by_size() -> None:
    confidences = np.array([0.95] * 8 + [0.55] * 2)
    right = np.array([True] * 6 + [False] * 2 + [True, False])
    bins = reliability(confidences, right)
    assert [b.count for b in bins] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 8]
    assert (bins[9].low, bins[9].high) == pytest.approx((0.9, 1.0))
    assert expected_calibration_error(bins) == pytest.approx(0.8 * abs(0.75 - 0.95) + 0.2 * abs(0.5 - 0.55))


def test_every_probability_falls_in_a_bin() -> None:
    edges = np.array([0.0, 0.1, 0.5, 0.999, 1.0])
    assert sum(b.count for b in reliability(edges, edges > 0.4)) == 5


def test_a_model_that_finds_nothing_treats_all_alike(
    tiny_model: BertForClinicalNER, word_tokenizer: Any, tmp_path: Path
) -> None:
    tiny_model.heads["clincode"].bias.data[0] = 50.0  # type: ignore[union-attr]
    split = [TaggedSentence(("Took", "aspirin"), ("O", "B-Chemical"))] * 3
    result = ethics_assessment(tiny_model, word_tokenizer, "cpu", LABEL_NAMES, dataset_split=split)
    assert len(result["bias_results"]) == len(TEMPLATES) * len(VARIANTS)
    assert not any(row.differs for row in result["bias_results"])
    assert result["ece"] == pytest.approx(0.5, abs=0.01), "sure of everything, right in half"
    assert result["severity_distribution"] == {"critical": 3, "moderate": 0, "minor": 0}
    assert "3 of 3 errors are critical" in result["deployment_recommendation"]
    plot_reliability(result["reliability"], tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 1000


def test_what_was_not_read_is_not_calibrated(tiny_model: BertForClinicalNER, word_tokenizer: Any) -> None:
    tiny_model.heads["clincode"].bias.data[0] = 50.0  # type: ignore[union-attr]
    # The tiny encoder has 128 positions: the words beyond have no probability.
    split = [TaggedSentence(("pain",) * 400, ("O",) * 400)]
    result = ethics_assessment(tiny_model, word_tokenizer, "cpu", LABEL_NAMES, dataset_split=split)
    assert sum(b.count for b in result["reliability"]) == 124
    assert result["ece"] == pytest.approx(0, abs=0.01)


def test_an_empty_split_measures_nothing(tiny_model: BertForClinicalNER, word_tokenizer: Any) -> None:
    result = ethics_assessment(tiny_model, word_tokenizer, "cpu", LABEL_NAMES, dataset_split=[])
    assert result["ece"] is None
    assert result["severity_distribution"] is None
    assert "not measured" in result["deployment_recommendation"]


def test_the_article_before_the_person_fits_every_variant() -> None:
    assert len(TEMPLATES) >= 20
    assert not [template for template in TEMPLATES if "a {}" in template.lower() or "an {}" in template.lower()]


def test_the_person_is_no_difference_but_a_lost_entity_is() -> None:
    same = ALIKE
    lost = BiasResult("sex", "The {} has gout.", {"man": (("DIAG", "gout"),), "woman": ()})
    assert not same.differs
    assert lost.differs


def test_an_entity_that_takes_in_the_person_counts_without_them(
    tiny_model: BertForClinicalNER, word_tokenizer: Any
) -> None:
    tiny_model.heads["clincode"].weight.data.zero_()  # type: ignore[union-attr]
    tiny_model.heads["clincode"].bias.data[4] = 50.0  # everything is one Disease  # type: ignore[union-attr]
    result = ethics_assessment(tiny_model, word_tokenizer, "cpu", LABEL_NAMES)
    assert not any(row.differs for row in result["bias_results"])
    assert result["ece"] is None
    assert result["severity_distribution"] is None


@pytest.mark.parametrize(
    ("ece", "severities", "part"),
    [
        (None, {"critical": 0, "moderate": 0, "minor": 0}, "calibration was not measured"),
        (0.01, None, "errors were not measured"),
        (0.2, {"critical": 0, "moderate": 1, "minor": 0}, "off by 0.200"),
        (0.01, {"critical": 2, "moderate": 1, "minor": 1}, "2 of 4 errors are critical"),
    ],
)
def test_what_speaks_against_it_is_said(ece: float | None, severities: dict[str, int] | None, part: str) -> None:
    assert part in recommendation([ALIKE], ece, severities)


def test_nothing_against_it_still_needs_a_coder() -> None:
    text = recommendation([ALIKE], 0.01, {"critical": 0, "moderate": 0, "minor": 3})
    assert "Nothing measured" in text
    assert "coder" in text


def test_people_that_were_not_compared_speak_against_it() -> None:
    text = recommendation([], 0.01, {"critical": 0, "moderate": 0, "minor": 3})
    assert text.startswith("Not for unattended use: people were not compared")
