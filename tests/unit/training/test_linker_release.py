"""A linker's release: what is packed comes out, changed files are refused, another year's list gets its own vectors."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from clincode.errors import BundleError
from clincode.icd import LinkingModel, Terminology
from clincode.icd.candidates import FEATURES
from clincode.icd.linking_model import Examples, Names, quantised, word_table
from clincode.icd.ranker import Ranker
from clincode.icd.terminology import TabularList
from clincode.icd.vector_names import vector_names
from clincode.model import MentionEncoder
from training import linker_release
from training.encoders import EncoderError
from training.linker_release import (
    build_linker,
    coarse,
    embedded,
    known_vectors,
    newest_linker,
    release_encoder,
    write_release,
)

DIMENSIONS = 16
FILES = ("delta.safetensors", "vectors.safetensors", "linker.json")
EXAMPLES = [("I21.9", "Z99.2"), ("I10",), ("X00.0",)]


@pytest.fixture
def base(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The encoder that a package would hold."""

    def folder(name: str) -> str:
        if name != "tiny":
            raise EncoderError(f"the package '{name}' is not installed")
        return str(tiny_encoder)

    monkeypatch.setattr(linker_release, "encoder_folder", folder)
    return tiny_encoder


@pytest.fixture
def tuned(base: Path, tmp_path: Path) -> Path:
    """The same encoder, moved a little as training moves it; its words stay where they were."""
    torch.manual_seed(4)
    encoder = BertModel(BertConfig.from_pretrained(base), add_pooling_layer=False)
    encoder.load_state_dict({n: t for n, t in load_file(base / "model.safetensors").items() if "pooler" not in n})
    for name, parameter in encoder.named_parameters():
        if "word_embeddings" not in name:
            parameter.data += 0.02 * torch.randn_like(parameter)
    encoder.save_pretrained(tmp_path / "tuned")
    return tmp_path / "tuned"


def ranker(seed: int) -> Ranker:
    source = np.random.default_rng(seed)
    centre, scale, hidden, bias, output = (
        source.normal(size=size).astype(np.float32) for size in (FEATURES, FEATURES, (FEATURES, 4), 4, 4)
    )
    curve = (np.array([0, 0.4, 0.9], np.float32), np.array([0, 0.2, 0.8], np.float32))
    return Ranker(centre, np.abs(scale) + np.float32(0.1), hidden, bias, output, *curve)


@dataclass(frozen=True)
class Released:
    folder: Path
    model: LinkingModel
    encoder: MentionEncoder


@pytest.fixture
def released(tuned: Path, small: Terminology, tmp_path: Path) -> Released:
    folder = tmp_path / "store" / "icd-linker-v1.2.3"
    encoder = MentionEncoder.load(release_encoder("tiny", tuned, folder), DIMENSIONS)
    named = list(vector_names(small))
    texts = [name.text for name in named]
    names = Names([name.code for name in named], *word_table(texts), embedded(texts, encoder, "names"))
    vectors = embedded(["heart attack", "high blood pressure", "burn"], encoder, "examples")
    examples = Examples(EXAMPLES, vectors, np.array([True, False, True]))
    model = LinkingModel(folder.name, names, examples, ranker(1), ranker(2), 0.35)
    write_release(folder, model, texts, {"base": {"package": "tiny", "sha256": "0"}, "icd10cm": small.release})
    return Released(folder, model, encoder)


def test_what_is_packed_comes_out(released: Released, small: Terminology, tmp_path: Path) -> None:
    out = build_linker(released.folder, small, tmp_path / "bundle" / "linker")
    model, packed = LinkingModel.load(out, small), released.model
    assert (model.version, model.threshold) == ("icd-linker-v1.2.3", 0.35)
    assert list(model.names.codes) == list(packed.names.codes)
    np.testing.assert_array_equal(model.names.vectors, packed.names.vectors)
    np.testing.assert_array_equal(model.names.word_ids, packed.names.word_ids)
    assert model.names.vocabulary == packed.names.vocabulary
    np.testing.assert_array_equal(model.examples.vectors, packed.examples.vectors)
    np.testing.assert_array_equal(model.examples.learnt, packed.examples.learnt)
    features = np.random.default_rng(3).normal(size=(5, FEATURES)).astype(np.float32)
    for name in ("concepts", "claims"):
        one, other = getattr(model, name), getattr(packed, name)
        np.testing.assert_allclose(one.probabilities(features), other.probabilities(features), atol=1e-3)
        np.testing.assert_allclose(one.confidence(np.array([0.2, 0.65])), [0.1, 0.5], atol=1e-4)


def test_codes_that_the_list_lacks_are_no_examples_codes(
    released: Released, small: Terminology, tmp_path: Path
) -> None:
    model = LinkingModel.load(build_linker(released.folder, small, tmp_path / "out"), small)
    assert model.examples.codes == [("I21.9",), ("I10",), ()]


def test_the_bundles_encoder_is_the_one_that_all_was_fitted_on(
    released: Released, small: Terminology, tuned: Path, tmp_path: Path
) -> None:
    encoder = MentionEncoder.load(build_linker(released.folder, small, tmp_path / "out"), DIMENSIONS)
    texts = ["Heart failure", "fracture of the radius"]
    vectors = encoder.embed(texts)
    np.testing.assert_array_equal(vectors, released.encoder.embed(texts))
    trained = load_file(tuned / "model.safetensors")
    for name, tensor in load_file(tmp_path / "out" / "model.safetensors").items():
        torch.testing.assert_close(tensor.float(), trained[name], atol=0.02, rtol=1e-2)


def test_a_release_is_the_difference_and_says_what_it_holds(released: Released) -> None:
    manifest = json.loads((released.folder / "manifest.json").read_text())
    assert manifest["version"] == "icd-linker-v1.2.3"
    assert (manifest["dimensions"], manifest["threshold"]) == (DIMENSIONS, 0.35)
    assert manifest["base"]["package"] == "tiny"
    assert tuple(manifest["sha256"]) == FILES
    # The words of the encoder, most of its weights, were not changed and are not stored.
    assert (released.folder / "delta.safetensors").stat().st_size < 100_000
    assert not (released.folder / "delta.safetensors").stat().st_mode & 0o022


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(released: Released, small: Terminology, tmp_path: Path, name: str) -> None:
    data = bytearray((released.folder / name).read_bytes())
    data[-2] ^= 1
    (released.folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name}: .*changed"):
        build_linker(released.folder, small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(released: Released, small: Terminology, tmp_path: Path, name: str) -> None:
    (released.folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        build_linker(released.folder, small, tmp_path / "out")


@pytest.mark.parametrize(("text", "message"), [("{", "not a readable manifest"), ('{"version": "x"}', "lacks base, ")])
def test_a_broken_manifest_is_named(
    released: Released, small: Terminology, tmp_path: Path, text: str, message: str
) -> None:
    (released.folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=rf"manifest\.json: {message}"):
        build_linker(released.folder, small, tmp_path / "out")


def test_a_base_that_is_not_installed_is_named(released: Released, small: Terminology, tmp_path: Path) -> None:
    path = released.folder / "manifest.json"
    path.write_text(path.read_text().replace('"tiny"', '"other-encoder"'))
    with pytest.raises(BundleError, match="'other-encoder' is not installed"):
        build_linker(released.folder, small, tmp_path / "out")


def test_another_years_names_get_their_vectors(
    released: Released, small: Terminology, small_tabular: TabularList, tmp_path: Path
) -> None:
    titles = [title.replace("Heart failure", "Cardiac insufficiency") for title in small_tabular.titles]
    other = Terminology(replace(small_tabular, release="April 2000", titles=titles))
    model = LinkingModel.load(build_linker(released.folder, other, tmp_path / "out"), other)
    texts = [name.text for name in vector_names(other)]
    assert "Cardiac insufficiency" in texts
    np.testing.assert_array_equal(model.names.vectors, embedded(texts, released.encoder, "again"))
    before = [name.text for name in vector_names(small)]
    for index, text in enumerate(texts):
        same = np.abs(model.names.vectors[index].astype(int) - released.model.names.vectors[index]).max() <= 1
        assert same == (text == before[index]), text


def test_the_lists_own_names_are_not_embedded_again(
    released: Released, small: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("embedded")

    monkeypatch.setattr(linker_release, "embedded", never)
    build_linker(released.folder, small, tmp_path / "out")


def test_vectors_are_known_of_the_same_names_and_encoder_alone(released: Released, small: Terminology) -> None:
    texts = [name.text for name in vector_names(small)]
    known = known_vectors(released.folder, texts, DIMENSIONS)
    assert known is not None
    np.testing.assert_array_equal(known, released.model.names.vectors)
    assert known_vectors(released.folder, texts[:-1], DIMENSIONS) is None
    assert known_vectors(released.folder, texts, DIMENSIONS - 2) is None
    assert known_vectors(released.folder.with_name("absent"), texts, DIMENSIONS) is None
    delta = released.folder / "delta.safetensors"
    delta.write_bytes(delta.read_bytes() + b" ")
    assert known_vectors(released.folder, texts, DIMENSIONS) is None


@given(st.integers(1, 6), st.sampled_from([2, 16, 128]), st.integers(0, 2**32 - 1))
def test_four_bits_keep_a_vector_and_once_rounded_it_stays(rows: int, dimensions: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    once = coarse(quantised(vectors))
    assert once.dtype == np.int8
    assert ((once.astype(np.float32) / 127 * vectors).sum(axis=1) > 0.97).all()
    np.testing.assert_array_equal(coarse(once), once)


def test_a_vector_without_a_direction_stays_so() -> None:
    assert coarse(np.zeros((2, 4), dtype=np.int8)).tolist() == [[0] * 4] * 2


def test_a_delta_that_gives_the_encoder_already_stays(released: Released, tuned: Path, tmp_path: Path) -> None:
    delta = (released.folder / "delta.safetensors").read_bytes()
    merged = tmp_path / "merged"
    shutil.copytree(released.folder / "encoder", merged)
    assert release_encoder("tiny", merged, released.folder) == released.folder / "encoder"
    assert (released.folder / "delta.safetensors").read_bytes() == delta
    release_encoder("tiny", tuned, released.folder)
    assert (released.folder / "delta.safetensors").read_bytes() == delta  # it comes of the same weights
    weights = load_file(tuned / "model.safetensors")
    name = next(n for n in weights if n.endswith("dense.weight"))
    save_file({**weights, name: weights[name] + 0.01}, tuned / "model.safetensors")
    release_encoder("tiny", tuned, released.folder)
    assert (released.folder / "delta.safetensors").read_bytes() != delta


def test_the_newest_linker_is_that_of_the_highest_version(tmp_path: Path) -> None:
    assert newest_linker(tmp_path) is None
    for name in ("icd-linker-v1.9.0", "icd-linker-v1.10.0", "icd-linker-v1.10.0-trial", "bert-clinical-ner-v2.0.0"):
        (tmp_path / name).mkdir()
    found = newest_linker(tmp_path)
    assert found is not None
    assert found.name == "icd-linker-v1.10.0"
