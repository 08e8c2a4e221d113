import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clincode.errors import BundleError
from training.quantised_delta import GROUP, LEVELS, apply_delta, encode_adapter, encode_delta

shapes = st.tuples(st.integers(1, 5), st.integers(1, 150))


@settings(deadline=None)
@given(shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(-0.125, 0.125, width=32))))
def test_a_difference_comes_back_within_half_a_step(delta: np.ndarray) -> None:
    base = {"w": np.linspace(-1, 1, delta.size, dtype=np.float32).reshape(delta.shape)}
    tuned = {"w": base["w"] + delta}
    merged = apply_delta(base, encode_delta(base, tuned))["w"].astype(np.float32)
    rounding = 2**-10  # of FP16 near 1
    for row in range(delta.shape[0]):
        for at in range(0, delta.shape[1], GROUP):
            group = slice(at, at + GROUP)
            largest = np.abs(delta[row, group]).max()
            # No clipping is chosen unless it is better in squares, so the sum of squares obeys the plain bound.
            bound = (largest / LEVELS / 2 + rounding) ** 2 * len(delta[row, group])
            assert ((merged[row, group] - tuned["w"][row, group]) ** 2).sum() <= bound * 1.01 + 1e-9


def test_only_changed_rows_are_stored_and_unchanged_tensors_not_at_all() -> None:
    rng = np.random.default_rng(1)
    base = {"embedding": rng.normal(size=(100, 64)).astype(np.float32), "same": np.ones((4, 4), np.float32)}
    tuned = {name: array.copy() for name, array in base.items()}
    tuned["embedding"][[3, 77]] += 0.01
    stored = encode_delta(base, tuned)
    assert set(stored) == {"embedding.packed", "embedding.scales", "embedding.rows"}
    assert stored["embedding.rows"].tolist() == [3, 77]
    merged = apply_delta(base, stored)
    np.testing.assert_array_equal(merged["same"], base["same"].astype(np.float16))
    np.testing.assert_allclose(merged["embedding"].astype(np.float32), tuned["embedding"], atol=2e-3)


def test_heads_travel_whole_and_the_base_is_not_changed() -> None:
    base = {"w": np.zeros((2, 2), np.float32), "b": np.zeros(2, np.float32)}
    tuned = {
        "w": np.ones((2, 2), np.float32),
        "b": np.full(2, 0.5, np.float32),
        "heads.x.weight": np.ones((3, 2), np.float32),
    }
    merged = apply_delta(base, encode_delta(base, tuned))
    for name, array in tuned.items():
        np.testing.assert_array_equal(merged[name].astype(np.float32), array)
    assert not base["w"].any()


def test_an_adapter_of_eight_bits_is_within_a_hundredth_of_what_it_changed() -> None:
    rng = np.random.default_rng(2)
    base = {"w": rng.normal(size=(64, 96)).astype(np.float32)}
    # Directions of very different size, as training leaves them: each has its own scale.
    b = rng.normal(size=(64, 4)).astype(np.float32) * np.array([1, 0.1, 0.01, 0], np.float32)
    a = rng.normal(size=(4, 96)).astype(np.float32)
    stored = encode_adapter({"w.lora_a": a, "w.lora_b": b})
    assert {stored[name].dtype for name in ("w.lora_a", "w.lora_b")} == {np.dtype(np.int8)}
    merged = apply_delta(base, stored)["w"].astype(np.float32)
    error = np.linalg.norm(merged - base["w"] - b @ a) / np.linalg.norm(b @ a)
    assert error < 0.01


def test_a_difference_without_its_base_is_refused() -> None:
    with pytest.raises(ValueError, match=r"other\.delta"):
        apply_delta({"w": np.zeros(2, np.float32)}, {"other.delta": np.zeros(2, np.float16)})


@pytest.fixture(scope="module")
def release() -> Path:
    from cli.models import newest_release

    try:
        return newest_release()
    except BundleError as error:
        pytest.skip(str(error))


def test_the_release_merges_to_the_weights_that_were_released(release: Path, tmp_path: Path) -> None:
    from training.release import merge_release

    merged = merge_release(release, tmp_path / "merged")
    assert {file.name for file in merged.iterdir()} == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "clincode.json",
    }


def test_one_changed_byte_of_a_release_is_refused(release: Path, tmp_path: Path) -> None:
    from training.release import merge_release

    copy = tmp_path / release.name
    copy.mkdir()
    for file in release.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    delta = bytearray((copy / "delta.safetensors").read_bytes())
    delta[-1] ^= 1
    (copy / "delta.safetensors").write_bytes(delta)
    with pytest.raises(BundleError, match="was changed"):
        merge_release(copy, tmp_path / "merged")


def test_the_release_is_small_and_says_what_it_stands_on(release: Path) -> None:
    assert sum(file.stat().st_size for file in release.iterdir()) < 10e6
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["version"] == release.name
    assert {"package", "sha256"} <= set(manifest["base"])
    data = manifest["training"]["data"]
    assert data
    assert not any("test" in name for name in data), "no test split was read"
