from pathlib import Path

import pytest

from training.corpora import TaggedSentence
from training.explore import entity_forms, explore_dataset, plot_entity_analysis, sentences_of

TRAIN = [
    TaggedSentence(("No", "fever", "."), ("O", "B-DIAG", "O")),
    TaggedSentence(("Severe", "chest", "pain", ",", "aspirin"), ("B-DIAG", "I-DIAG", "I-DIAG", "O", "B-MED")),
]
NAMES = ["O", "B-Disease", "I-Disease"]


def test_figures_of_a_data_set() -> None:
    assert explore_dataset({"train": TRAIN, "devel": TRAIN[:1]}) == {
        "split_sizes": {"train": 2, "devel": 1},
        "avg_tokens": 4.0,
        "label_distribution": {"O": 3, "B-DIAG": 2, "I-DIAG": 2, "B-MED": 1},
        "entity_percentage": pytest.approx(62.5),
        "avg_entities": 1.5,
        "entity_lengths": {1: 2, 3: 1},
    }


def test_columns_of_tokens_and_tag_ids_are_read_too() -> None:
    split = [{"tokens": ["No", "fever"], "tags": [0, 1]}]
    assert sentences_of(split, NAMES) == [TaggedSentence(("No", "fever"), ("O", "B-Disease"))]
    assert explore_dataset({"train": split}, NAMES)["entity_percentage"] == 50.0


def test_an_empty_split_has_figures() -> None:
    assert explore_dataset({"train": []})["avg_tokens"] == 0.0


def test_forms_are_counted_by_type_in_lower_case() -> None:
    assert entity_forms(TRAIN)["severe chest pain", "DIAG"] == 1


def test_the_plots_are_drawn_to_a_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = plot_entity_analysis({"train": TRAIN}, out=tmp_path / "plots.png")
    assert [axis.get_title() for axis in figure.axes] == [
        "Words by label (log scale)",
        "Words an example",
        "Words an entity (up to 3)",
        "The 20 most frequent entities",
    ]
    assert (tmp_path / "plots.png").read_bytes().startswith(b"\x89PNG")
