"""Artifacts in a folder and in a bucket: what is published comes back byte for byte, or does not come at all."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from registry_site import NAME, Place

import training.registry.artifact as artifact_module
from clincode.config import ModelConfig
from clincode.errors import BundleError
from training.bundle import write_checkpoint
from training.registry.artifact import digest, fetch, prune, publish, read_manifest, verify, versions
from training.registry.manifest import Manifest
from training.registry.store import RegistryError, Store, open_store

Publish = Callable[..., Manifest]


def numbers(store: Store) -> list[str]:
    return [str(version).removeprefix(NAME) for version in versions(store)]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_an_artifact_holds_all_that_belongs_to_it(place: Place, checkpoint: Path, tmp_path: Path) -> None:
    card, report = tmp_path / "card.md", tmp_path / "report.html"
    card.write_text("# A card\n", encoding="utf-8")
    report.write_text("<p>F1</p>", encoding="utf-8")
    made = publish(
        checkpoint,
        place.store,
        version=f"{NAME}1.2.3",
        evaluation=report,
        card=card,
        training_config={"epochs": 4, "lora": None},
        data_hashes={"maccrobat/train": "cd" * 32},
        notes="ähnlich",
    )
    folder = fetch(f"{NAME}1.2.3", place.store, tmp_path / "fetched")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "artifact.json", "card.md", "clincode.json", "config.json", "evaluation/report.html",
        "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    assert (folder / "card.md").read_text(encoding="utf-8") == "# A card\n"
    assert verify(folder) == made == read_manifest(f"{NAME}1.2.3", place.store)
    document = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    assert document["training_config"] == {"epochs": 4, "lora": None}
    assert document["data_hashes"] == {"maccrobat/train": "cd" * 32}
    assert document["notes"] == "ähnlich"
    assert document["code"]["trained_by"] is None
    assert {"clincode", "libraries"} <= set(document["code"]["published_by"])


def test_the_model_answers_under_the_name_of_its_artifact(
    place: Place, published: Publish, checkpoint: Path, tmp_path: Path
) -> None:
    published(place.store, "3.1.4")
    out = tmp_path / "checkpoint"
    out.mkdir()
    write_checkpoint(fetch(f"{NAME}3.1.4", place.store, tmp_path / "fetched"), out)
    assert ModelConfig.load(checkpoint).version == f"{NAME}0.0.1"
    assert ModelConfig.load(out).version == f"{NAME}3.1.4"
    assert ModelConfig.load(out).heads == ModelConfig.load(checkpoint).heads


def test_what_is_published_does_not_change(place: Place, published: Publish) -> None:
    first = published(place.store, "1.0.0")
    with pytest.raises(RegistryError, match=r"v1\.0\.0 is published"):
        published(place.store, "1.0.0")
    assert read_manifest(first.version, place.store) == first
    assert numbers(place.store) == ["1.0.0"]


def test_versions_come_oldest_first_and_other_things_are_passed_over(place: Place, published: Publish) -> None:
    for number in ("1.10.0", "1.9.0", "1.9.0-base"):
        published(place.store, number)
    place.replace("README.md", b"by hand")
    assert numbers(place.store) == ["1.9.0", "1.9.0-base", "1.10.0"]


def test_a_publication_that_is_cut_off_anywhere_is_never_listed(
    place: Place, published: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cut in range(5):  # four files, then the manifest
        calls = iter(range(5))

        def dies(original: Callable[..., None], *arguments: object, cut: int = cut, calls: object = calls) -> None:
            if next(calls) == cut:  # type: ignore[call-overload]
                raise RegistryError("the power went")
            original(*arguments)

        with monkeypatch.context() as patched:
            for name in ("upload", "create"):
                original = getattr(place.store, name)
                patched.setattr(place.store, name, lambda *a, original=original, dies=dies: dies(original, *a))
            with pytest.raises(RegistryError, match="the power went"):
                published(place.store, "1.0.0")
        assert versions(place.store) == []
    whole = published(place.store, "1.0.0")
    assert numbers(place.store) == ["1.0.0"]
    assert len(place.names()) > len(whole.files) + 1
    prune(place.store)
    assert len(place.names()) > len(whole.files) + 1, "somebody may still be publishing"
    later = time.time() + 25 * 3600
    monkeypatch.setattr(artifact_module.time, "time", lambda: later)
    prune(place.store)
    assert set(place.names()) == {
        f"{NAME}1.0.0/artifact.json",
        *(whole.key(name) for name in whole.files),
    }


def test_one_changed_byte_in_the_store_is_not_fetched(place: Place, published: Publish, tmp_path: Path) -> None:
    manifest = published(place.store, "1.0.0")
    for name in [*manifest.files, "artifact.json"]:
        key = manifest.key(name) if name in manifest.files else f"{NAME}1.0.0/artifact.json"
        place.flip(key)
        with pytest.raises(BundleError, match=r"not what was published|changed after it was written") as refusal:
            fetch(f"{NAME}1.0.0", place.store, tmp_path / "fetched")
        assert name in str(refusal.value)
        assert not any("fetched" in found.name for found in tmp_path.iterdir())
        place.flip(key)
    fetch(f"{NAME}1.0.0", place.store, tmp_path / "fetched")


def test_a_file_that_is_gone_from_the_store_is_named(place: Place, published: Publish, tmp_path: Path) -> None:
    manifest = published(place.store, "1.0.0")
    place.store.delete([manifest.key("tokenizer.json")])
    with pytest.raises(RegistryError, match=r"tokenizer\.json: no such"):
        fetch(f"{NAME}1.0.0", place.store, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_version_that_is_not_there(place: Place, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"has no bert-clinical-ner-v9\.9\.9"):
        fetch(f"{NAME}9.9.9", place.store, tmp_path / "fetched")


def test_fetching_to_a_folder_in_use(place: Place, published: Publish, tmp_path: Path) -> None:
    published(place.store, "1.0.0")
    published(place.store, "1.0.1")
    folder = tmp_path / "fetched"
    folder.mkdir()
    fetch(f"{NAME}1.0.0", place.store, folder)
    assert fetch(f"{NAME}1.0.0", place.store, folder) == folder
    with pytest.raises(RegistryError, match=r"is there already, and is not bert-clinical-ner-v1\.0\.1"):
        fetch(f"{NAME}1.0.1", place.store, folder)
    assert str(verify(folder).version) == f"{NAME}1.0.0"


def test_an_artifact_made_anew_under_the_same_name_has_another_digest(
    place: Place, published: Publish, tmp_path: Path
) -> None:
    known = digest(published(place.store, "1.0.0"))
    fetch(f"{NAME}1.0.0", place.store, tmp_path / "first", expected=f"sha256:{known}")
    place.store.delete([f"{NAME}1.0.0/artifact.json"])
    published(place.store, "1.0.0")
    with pytest.raises(BundleError, match="not the artifact with the digest"):
        fetch(f"{NAME}1.0.0", place.store, tmp_path / "second", expected=known)


def test_one_changed_byte_in_a_fetched_artifact_is_refused_at_load(
    place: Place, published: Publish, tmp_path: Path
) -> None:
    published(place.store, "1.0.0")
    folder = fetch(f"{NAME}1.0.0", place.store, tmp_path / "fetched")
    out = tmp_path / "out"
    out.mkdir()
    for path in sorted(folder.iterdir()):
        flip(path)
        with pytest.raises(BundleError, match="was changed") as refusal:
            write_checkpoint(folder, out)
        assert path.name in str(refusal.value)
        assert list(out.iterdir()) == []
        flip(path)
    (folder / "pickle.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"pickle\.bin: not of the artifact"):
        verify(folder)


def test_of_six_versions_the_oldest_is_pruned(place: Place, published: Publish) -> None:
    for minor in range(6):
        published(place.store, f"1.{minor}.0")
    assert [str(v) for v in prune(place.store, dry_run=True)] == [f"{NAME}1.0.0"]
    assert len(versions(place.store)) == 6
    assert [str(v) for v in prune(place.store)] == [f"{NAME}1.0.0"]
    assert numbers(place.store) == [f"1.{minor}.0" for minor in range(1, 6)]
    assert not any(name.startswith(f"{NAME}1.0.0/") for name in place.names())
    assert prune(place.store) == []


def test_what_serves_is_never_pruned_and_variants_are_counted_apart(place: Place, published: Publish) -> None:
    for minor in range(7):
        published(place.store, f"1.{minor}.0")
    published(place.store, "0.1.0-base")
    removed = prune(place.store, protected=[f"{NAME}1.0.0"])
    assert [str(v) for v in removed] == [f"{NAME}1.1.0"]
    assert numbers(place.store) == ["0.1.0-base", "1.0.0", *(f"1.{minor}.0" for minor in range(2, 7))]


def test_fewer_than_five_or_a_slip_of_the_pen_prunes_nothing(place: Place, published: Publish) -> None:
    for minor in range(6):
        published(place.store, f"1.{minor}.0")
    with pytest.raises(RegistryError, match="at least 5"):
        prune(place.store, 4)
    with pytest.raises(RegistryError, match=r"has no bert-clinical-ner-v1\.0\.9 to protect"):
        prune(place.store, protected=[f"{NAME}1.0.9"])
    assert len(versions(place.store)) == 6


def test_a_pruned_version_is_gone_even_where_pruning_is_cut_off(
    place: Place, published: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minor in range(6):
        published(place.store, f"1.{minor}.0")
    deleted: list[str] = []
    original = place.store.delete

    def dies(keys: list[str]) -> None:
        for key in keys:
            if deleted:
                raise RegistryError("the power went")
            original([key])
            deleted.append(key)

    with monkeypatch.context() as patched:
        patched.setattr(place.store, "delete", dies)
        with pytest.raises(RegistryError, match="the power went"):
            prune(place.store)
    assert deleted == [f"{NAME}1.0.0/artifact.json"]
    assert numbers(place.store) == [f"1.{minor}.0" for minor in range(1, 6)]


def test_a_publisher_that_is_killed_leaves_nothing_that_pruning_does_not_find(
    checkpoint: Path, published: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, shutil, signal, sys; from pathlib import Path\n"
        "from training.registry import store; from training.registry.artifact import publish\n"
        "store._flush = lambda path: os.kill(os.getpid(), signal.SIGKILL) if DONE else DONE.append(1)\n"
        "DONE = []\n"
        "publish(Path(sys.argv[1]), store.open_store(sys.argv[2]), version=sys.argv[3], training_config={},"
        " data_hashes={})"
    )
    place = Place(open_store(str(tmp_path / "artifacts")))
    command = [sys.executable, "-c", code, str(checkpoint), place.store.url, f"{NAME}1.0.0"]
    assert subprocess.run(command, check=False, timeout=120, capture_output=True).returncode == -signal.SIGKILL
    assert len(place.names()) == 2
    assert versions(place.store) == []
    whole = published(place.store, "1.0.0")
    later = time.time() + 25 * 3600
    monkeypatch.setattr(artifact_module.time, "time", lambda: later)
    prune(place.store)
    assert len(place.names()) == len(whole.files) + 1
    assert [path.name for path in (tmp_path / "artifacts" / f"{NAME}1.0.0").iterdir() if path.is_dir()] == [
        whole.publication
    ]
