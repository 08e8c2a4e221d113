"""The archive stands on its own: what is in it, and a prediction by a process that sees nothing else of the project."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clincode.errors import BundleError
from clincode.pipeline import Pipeline

NAME = "bert-clinical-ner"

PREDICT = """
import json, sys
from pathlib import Path
import clincode
from clincode.pipeline import Pipeline
from clincode.request import parse_request
from clincode.response import response_body

pipeline = Pipeline.from_bundle(Path("."))
note = parse_request(sys.stdin.buffer.read())
answer = response_body(pipeline.analyze(note), version=pipeline.version, processing_time_ms=0)
modules = [m for m in sys.modules if m.split(".")[0] in ("training", "cli", "gateway", "monitoring", "ts")]
print(json.dumps({"file": clincode.__file__, "modules": modules, "answer": answer}))
"""


@pytest.fixture(scope="module")
def archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the newest release, or of the model folder that CLINCODE_TEST_MODEL names."""
    model = os.environ.get("CLINCODE_TEST_MODEL")
    store = tmp_path_factory.mktemp("store") if model else root / "model_store"
    environment = {**os.environ, "PYTHON": sys.executable, "CLINCODE_MODEL_STORE": str(store)}
    command = [str(root / "scripts" / "archive.sh"), *([model] if model else [])]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return store / f"{NAME}.mar"


@pytest.fixture(scope="module")
def folder(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(out)
    return out


def test_prediction_with_nothing_but_the_archive(folder: Path, root: Path) -> None:
    # Without -P the folder would be found as the working folder; PYTHONPATH is what TorchServe gives its worker.
    outcome = subprocess.run(
        [sys.executable, "-P", "-c", PREDICT],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        input=(root / "scripts" / "sample_request.json").read_bytes(),
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr.decode()
    result = json.loads(outcome.stdout)
    assert Path(result["file"]).is_relative_to(folder)
    assert result["modules"] == []
    assert result["answer"]["entities"]


def test_only_what_serving_needs_is_in_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {
        "MAR-INF", "checksums.json", "clincode", "clincode.json", "clincode_handler.py", "config.json",
        "icd10cm.json.gz", "linker", "model-config.yaml", "model.safetensors", "source.sha256", "tokenizer.json",
    }  # fmt: skip
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "test" in name.lower()] == []


def test_code_and_resources_are_those_of_the_checkout(folder: Path, root: Path) -> None:
    source = root / "handler" / "clincode"
    wanted = {
        str(file.relative_to(source)): digest(file)
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {
        str(f.relative_to(folder / "clincode")): digest(f) for f in (folder / "clincode").rglob("*") if f.is_file()
    }
    assert {name: value for name, value in packed.items() if "__pycache__" not in name} == wanted
    assert digest(folder / "clincode_handler.py") == digest(root / "handler" / "clincode_handler.py")
    assert digest(folder / "model-config.yaml") == digest(root / "config" / "model-config.yaml")


def test_weights_are_those_of_the_release(folder: Path, root: Path) -> None:
    version = json.loads((folder / "clincode.json").read_text(encoding="utf-8"))["version"]
    manifest = root / "model_store" / version / "manifest.json"
    if not manifest.exists():
        pytest.skip(f"{version} is no release of the model store")
    assert digest(folder / "model.safetensors") == json.loads(manifest.read_text(encoding="utf-8"))["merged_sha256"]


def test_manifest_names_handler_and_version(folder: Path) -> None:
    manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text(encoding="utf-8"))
    version = json.loads((folder / "clincode.json").read_text(encoding="utf-8"))["version"]
    assert manifest["model"]["handler"] == "clincode_handler.py"
    assert manifest["model"]["configFile"] == "model-config.yaml"
    assert version.endswith(manifest["model"]["modelVersion"])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "linker/icd_linker.safetensors",
        "icd10cm.json.gz",
        "clincode/resources/context_cues.tsv",
        "clincode_handler.py",
        "model-config.yaml",
        "checksums.json",
    ],
)
def test_one_changed_byte_in_the_archive_keeps_a_worker_from_starting(
    archive: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    tampered = tmp_path / "tampered.mar"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tampered, "w") as new:
        for member in old.infolist():
            data = bytearray(old.read(member))
            if member.filename == name:
                data[len(data) // 2] ^= 1
            new.writestr(member, bytes(data))
    with zipfile.ZipFile(tampered) as packed:
        packed.extractall(tmp_path / "unpacked")
    with pytest.raises(BundleError) as refusal:
        Pipeline.from_bundle(tmp_path / "unpacked")
    assert name in str(refusal.value)
    assert "was changed" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_nothing_is_listed_that_the_archive_has_not(folder: Path) -> None:
    listed = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))["files"]
    packed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    loose = {name for name in packed - set(listed) if "__pycache__" not in name}
    assert loose == {"checksums.json", "MAR-INF/MANIFEST.json"}
