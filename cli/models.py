"""Which model a command works with, and its bundle."""

import hashlib
import re
from pathlib import Path

from clincode.config import MODEL_CONFIG_FILE, TERMINOLOGY_FILE
from clincode.errors import BundleError

ROOT = Path(__file__).resolve().parents[1]
_RELEASE = re.compile(r"bert-clinical-ner-v(\d+)\.(\d+)\.(\d+)$")


def newest_release(store: Path = ROOT / "model_store") -> Path:
    """The release with the highest version in the model store; variants such as ``-base`` are asked for by name."""
    releases = [(tuple(map(int, m.groups())), path) for path in store.iterdir() if (m := _RELEASE.match(path.name))]
    if not releases:
        raise BundleError(f"{store}: no release of bert-clinical-ner")
    return max(releases)[1]


def bundle_of(model: Path | None) -> Path:
    """The bundle of a model folder (by default the newest release), built under ``build/`` where it is not there."""
    model = newest_release() if model is None else model
    if (model / MODEL_CONFIG_FILE).exists() and (model / TERMINOLOGY_FILE).exists():
        return model
    if not model.is_dir():
        raise BundleError(f"{model}: no such folder")
    out = ROOT / "build" / "bundles" / f"{model.resolve().name}-{_fingerprint(model)}"
    if not out.exists():
        from training.bundle import build_bundle

        build_bundle(model, out)
    return out


def _fingerprint(model: Path) -> str:
    """Changes when a file of the model folder, of a linker's release or of the code that builds bundles does."""
    digest = hashlib.sha256()
    sources = [*(ROOT / "training").glob("*.py"), *(ROOT / "handler" / "clincode" / "icd").glob("*.py")]
    linkers = [path for path in (ROOT / "model_store").glob("icd-linker-v*/*") if path.is_file()]
    for file in sorted([*(path for path in model.iterdir() if path.is_file()), *linkers, *sources]):
        status = file.stat()
        digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
