"""A folder and its list of checksums: whatever is changed, serving refuses it and names the file."""

from pathlib import Path

import pytest

from clincode.errors import BundleError
from clincode.integrity import (
    CHECKSUMS_FILE,
    sealed,
    sums_from_json,
    unsealed,
    unsealed_text,
    verify_bundle,
    write_checksums,
)
from clincode.pipeline import Pipeline

FILES = (
    "clincode.json", "config.json", "icd10cm.json.gz", "linker/config.json", "linker/model.safetensors",
    "model.safetensors", "tokenizer.json",
)  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    write_checksums(folder)
    return folder


def test_a_bundle_as_it_was_built_passes_with_what_torchserve_adds(bundle: Path) -> None:
    for name in ("MAR-INF/MANIFEST.json", "clincode_handler.py", "clincode/__pycache__/x.pyc"):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text("{}", encoding="utf-8")
    verify_bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, CHECKSUMS_FILE])
def test_a_changed_byte_anywhere_is_refused_before_anything_is_loaded(bundle: Path, name: str) -> None:
    whole = (bundle / name).read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        data = bytearray(whole)
        data[at] ^= 1
        (bundle / name).write_bytes(bytes(data))
        with pytest.raises(BundleError, match="was changed") as refusal:
            Pipeline.from_bundle(bundle)
        assert name in str(refusal.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_shorter_or_longer_is_refused(bundle: Path, name: str) -> None:
    whole = (bundle / name).read_bytes()
    for data in (whole[:-1], whole + b"\n", b""):
        (bundle / name).write_bytes(data)
        with pytest.raises(BundleError, match=f"{name}: was changed"):
            verify_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing"):
        verify_bundle(bundle)


def test_no_list_no_service(bundle: Path) -> None:
    (bundle / CHECKSUMS_FILE).unlink()
    with pytest.raises(BundleError, match=r"checksums\.json: missing.*build it again"):
        Pipeline.from_bundle(bundle)


def test_a_file_that_serving_would_load_must_be_listed(bundle: Path) -> None:
    (bundle / "linker" / "more.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"linker/more\.safetensors: not in checksums\.json"):
        verify_bundle(bundle)


def test_a_list_that_leaves_a_file_out_is_refused(bundle: Path) -> None:
    whole = (bundle / "model.safetensors").read_bytes()
    (bundle / "model.safetensors").unlink()
    write_checksums(bundle)
    (bundle / "model.safetensors").write_bytes(whole)
    with pytest.raises(BundleError, match=r"model\.safetensors: not in checksums\.json"):
        verify_bundle(bundle)


def test_every_bit_of_a_sealed_document_counts() -> None:
    data = sealed({"files": {"a": {"sha256": "00", "size": 1}}, "notes": "naïve"}).encode()
    assert unsealed_text(data, "x")["notes"] == "naïve"
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(BundleError, match="x: was changed"):
                unsealed_text(bytes(changed), "x")


@pytest.mark.parametrize("text", ["", "[]", "null", '"seal"', "{}", '{"seal": 1}', '{"seal": "x"}\n', "\ud800"])
def test_what_is_no_sealed_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BundleError):
        unsealed(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "..\\x"])
def test_a_list_names_no_file_outside_of_its_folder(name: str) -> None:
    with pytest.raises(BundleError, match="outside of its folder"):
        sums_from_json({name: {"sha256": "0" * 64, "size": 1}}, "x")


@pytest.mark.parametrize("data", [None, [], {"a": 1}, {"a": {"size": 1}}, {"a": {"sha256": "0", "size": "x"}}])
def test_a_list_that_is_none_is_refused(data: object) -> None:
    with pytest.raises(BundleError, match="no readable list of files"):
        sums_from_json(data, "x")
