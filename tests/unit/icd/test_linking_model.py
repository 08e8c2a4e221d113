"""A linker's files: what is saved is what is loaded, and what is damaged is refused by name."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from clincode.errors import BundleError
from clincode.icd import IcdLinker, LinkingModel, Terminology
from clincode.icd.linker import Embed
from clincode.icd.linking_model import ARRAYS_FILE, SETTINGS_FILE, quantised, word_table

MENTIONS = ["essential hypertension", "sugar sickness", "acute appendicitis", "fever", "zzz", ""]


@pytest.fixture
def saved(tiny_model: LinkingModel, tmp_path: Path) -> Path:
    tiny_model.save(tmp_path)
    return tmp_path


def test_two_files(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == [SETTINGS_FILE, ARRAYS_FILE]


def test_saved_and_loaded_it_is_the_same(tiny_model: LinkingModel, terminology: Terminology, saved: Path) -> None:
    loaded = LinkingModel.load(saved, terminology)
    assert (loaded.version, loaded.threshold) == ("icd-linker-v0.0.1", 0.3)
    assert list(loaded.names.codes) == list(tiny_model.names.codes)
    assert loaded.names.vocabulary == tiny_model.names.vocabulary
    for name in ("word_ids", "starts", "weights", "vectors"):
        array = getattr(tiny_model.names, name)
        np.testing.assert_array_equal(getattr(loaded.names, name), array)
        assert getattr(loaded.names, name).dtype == array.dtype
    assert list(loaded.examples.codes) == list(tiny_model.examples.codes)
    np.testing.assert_array_equal(loaded.examples.vectors, tiny_model.examples.vectors)
    assert loaded.examples.learnt.tolist() == [False, True, True, False]
    assert loaded.concepts.to_json() == tiny_model.concepts.to_json()
    assert loaded.claims.to_json() == tiny_model.claims.to_json()
    assert loaded.concepts.to_json() != loaded.claims.to_json()


def test_saved_and_loaded_it_ranks_the_same(
    dense_linker: IcdLinker, terminology: Terminology, embed: Embed, saved: Path
) -> None:
    loaded = IcdLinker(terminology, LinkingModel.load(saved, terminology), embed)
    assert loaded.threshold == dense_linker.threshold == 0.3
    for ranked, again in (
        (dense_linker.link_all(MENTIONS), loaded.link_all(MENTIONS)),
        (dense_linker.named_all(MENTIONS), loaded.named_all(MENTIONS)),
    ):
        assert [[each.code for each in codes] for codes in ranked] == [[each.code for each in codes] for codes in again]
        # What else is ranked at the time moves the last digits.
        confidences = [each.confidence for codes in ranked for each in codes]
        assert [each.confidence for codes in again for each in codes] == pytest.approx(confidences, abs=1e-5)


def test_bytes_are_the_same_each_time(terminology: Terminology, saved: Path, tmp_path_factory: Any) -> None:
    again = tmp_path_factory.mktemp("again")
    LinkingModel.load(saved, terminology).save(again)
    for name in (SETTINGS_FILE, ARRAYS_FILE):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize("name", [SETTINGS_FILE, ARRAYS_FILE])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xfe\x00", b"null"])
def test_unreadable_files_are_refused_by_name(
    terminology: Terminology, saved: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content)
    with pytest.raises(BundleError, match="icd_linker"):
        LinkingModel.load(saved, terminology)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.update(format=2),
        lambda data: data.pop("format"),
        lambda data: data.pop("version"),
        lambda data: data.pop("threshold"),
        lambda data: data.pop("claims"),
        lambda data: data.pop("vocabulary"),
        lambda data: data["concepts"].pop("hidden"),
        lambda data: data["concepts"].update(hidden=[["x"]]),
        lambda data: data.update(concepts=None),
        lambda data: data["name_codes"].pop(),
        lambda data: data["example_codes"].pop(),
        lambda data: data.update(example_codes=7),
        lambda data: data["name_codes"].__setitem__(3, "Z99.999"),
        lambda data: data["example_codes"].__setitem__(0, ["U99.9"]),
        lambda data: data.update(threshold="x"),
        lambda data: data["claims"].update(hidden=data["claims"]["hidden"][:-1]),
    ],
)
def test_damaged_settings_are_refused_by_name(
    terminology: Terminology, saved: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    path = saved / SETTINGS_FILE
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match=SETTINGS_FILE):
        LinkingModel.load(saved, terminology)


@pytest.mark.parametrize(
    "name", ["names.word_ids", "names.starts", "names.weights", "names.vectors", "examples.vectors", "examples.learnt"]
)
def test_missing_arrays_are_refused(terminology: Terminology, saved: Path, name: str) -> None:
    arrays = load_file(saved / ARRAYS_FILE)
    del arrays[name]
    save_file(arrays, saved / ARRAYS_FILE)
    with pytest.raises(BundleError, match="icd_linker"):
        LinkingModel.load(saved, terminology)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("names.vectors", lambda array: array[:-1]),
        ("examples.vectors", lambda array: array[:-1]),
        ("examples.vectors", lambda array: array[:, :-1].copy()),
        ("names.starts", lambda array: array[:5].copy()),
        ("names.word_ids", lambda array: array + 100_000),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    terminology: Terminology, saved: Path, name: str, damage: Callable[[Any], Any]
) -> None:
    arrays = load_file(saved / ARRAYS_FILE)
    arrays[name] = damage(arrays[name])
    save_file(arrays, saved / ARRAYS_FILE)
    with pytest.raises(BundleError, match="icd_linker"):
        LinkingModel.load(saved, terminology)


def test_a_cut_off_file_is_refused(terminology: Terminology, saved: Path) -> None:
    path = saved / ARRAYS_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BundleError, match="icd_linker"):
        LinkingModel.load(saved, terminology)


def test_another_release_of_the_list_is_named(saved: Path, terminology: Terminology) -> None:
    path = saved / SETTINGS_FILE
    data = json.loads(path.read_text())
    data["name_codes"][0] = "U99.9"
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"U99.9 is not of ICD-10-CM April 2026"):
        LinkingModel.load(saved, terminology)


def test_vectors_in_eight_bits_keep_their_cosine(embed: Embed) -> None:
    vectors = embed(["heart failure", "renal failure", "acute appendicitis", "x"])
    small = quantised(vectors)
    assert small.dtype == np.int8
    cosines = small.astype(np.float32) @ small.T.astype(np.float32) / 127**2
    np.testing.assert_allclose(cosines, vectors @ vectors.T, atol=0.03)
    assert quantised(np.array([[1.0, -1.0, 0.0]], dtype=np.float32)).tolist() == [[127, -127, 0]]


def test_words_of_names_and_their_weights() -> None:
    ids, starts, vocabulary, weights = word_table(["Acute renal failure", "heart failures, acute", "", "the failure"])
    assert vocabulary == {"acute": 0, "renal": 1, "failure": 2, "heart": 3}
    assert [ids[a:b].tolist() for a, b in pairwise(starts)] == [[0, 1, 2], [3, 2, 0], [], [2]]
    np.testing.assert_allclose(weights, np.log([1 + 4 / 2, 1 + 4 / 1, 1 + 4 / 3, 1 + 4 / 1]), rtol=1e-6)


@given(st.lists(st.lists(st.sampled_from(("acute", "renal", "failure", "of", "heart", "x")), max_size=5).map(" ".join)))
def test_any_names_make_a_table(texts: list[str]) -> None:
    ids, starts, vocabulary, weights = word_table(texts)
    assert len(starts) == len(texts) + 1
    assert starts[-1] == len(ids)
    assert len(weights) == len(vocabulary)
    assert (weights > 0).all()
    assert all(len(set(ids[a:b].tolist())) == b - a for a, b in pairwise(starts))
