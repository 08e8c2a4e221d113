"""``clincode registry``, as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.registry import registry_app
from clincode.integrity import write_checksums

RECORD = {"config": {"seed": 13}, "data": {"train.tsv": "ab" * 32}, "code": {"commit": "c0ffee"}}


@pytest.fixture
def trained(checkpoint: Path) -> Path:
    """A run's ``best/`` with its provenance beside it."""
    (checkpoint.parent / "provenance.json").write_text(json.dumps(RECORD), encoding="utf-8")
    return checkpoint


def call(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(registry_app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLINCODE_ARTIFACT_STORE", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def test_from_a_run_to_a_checked_folder(trained: Path, store: Path, tmp_path: Path) -> None:
    first = call("publish", trained, "--part", "minor", "--notes", "first").stdout.split()
    assert first[0] == "bert-clinical-ner-v0.1.0"
    assert call("publish", trained).stdout.startswith("bert-clinical-ner-v0.1.1 sha256:")
    listed = json.loads(call("list", "--json").stdout)
    assert [row["version"] for row in listed] == ["bert-clinical-ner-v0.1.0", "bert-clinical-ner-v0.1.1"]
    assert f"sha256:{listed[0]['sha256']}" == first[1]
    assert "first" in call("list").stdout.splitlines()[0]
    shown = json.loads(call("show", first[0]).stdout)
    record = (shown["training_config"], shown["data_hashes"], shown["code"]["trained_by"])
    assert record == tuple(RECORD.values())
    out = tmp_path / "fetched"
    call("fetch", first[0], "--to", out, "--sha256", first[1])
    assert "v0.1.0, unchanged" in call("verify", out).stdout
    (out / "config.json").write_text("{}", encoding="utf-8")
    assert "config.json: was changed" in call("verify", out, status=2).stderr


def test_the_version_of_a_release_brings_its_card_and_training(root: Path, tmp_path: Path) -> None:
    name = "bert-clinical-ner-v1.0.0"
    store = tmp_path / "other"
    call("publish", root / "model_store" / name, "--version", name, "--store", store)
    shown = json.loads(call("show", name, "--store", store).stdout)
    assert "card.md" in shown["files"]
    assert shown["training_config"]["version"] == name
    assert shown["data_hashes"]
    assert call(
        "publish", root / "model_store" / name, "--version", name, "--store", store, status=2
    ).stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "MODEL", "--part", "huge"], "major, minor or patch"),
        (["publish", "nowhere"], "no such folder"),
        (["publish", "STORE"], "nothing says what it was trained with"),
        (["publish", "MODEL", "--config", "run.yaml"], "--config needs --data"),
        (["publish", "MODEL", "--version", "v1"], "is no version"),
        (["show", "bert-clinical-ner-v1.0.0"], "has no bert-clinical-ner-v1.0.0"),
        (["fetch", "latest", "--to", "x"], "is no version"),
        (["verify", "STORE"], "checksums.json: missing"),
        (["prune"], "name what serves"),
        (["prune", "--none-serves", "--keep", "4"], "at least 5"),
        (["list", "--store", "ftp://x"], "a store is a folder"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(trained: Path, store: Path, arguments: list[str], message: str) -> None:
    store.mkdir()
    names = {"MODEL": str(trained), "STORE": str(store)}
    error = call(*(names.get(argument, argument) for argument in arguments), status=2).stderr
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_pruning_says_what_it_does(trained: Path, store: Path) -> None:
    for _ in range(7):
        call("publish", trained)
    name = "bert-clinical-ner-v0.0"
    assert call("prune", "--dry-run").stdout.split("\n")[:2] == [f"would delete {name}.1", f"would delete {name}.2"]
    assert call("prune", "--protect", f"{name}.1").stdout == f"deleted {name}.2\n"
    assert len(json.loads(call("list", "--json").stdout)) == 6


def test_a_bundle_is_verified_too(tmp_path: Path) -> None:
    for name in ("clincode.json", "config.json", "icd10cm.json.gz", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    write_checksums(tmp_path)
    assert call("verify", tmp_path).stdout == f"{tmp_path}: unchanged\n"
