"""What a model came of: the run's configuration, the data by their hashes, the code.

Training leaves it in the run's folder, beside ``best/``.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from training.encoders import sha256_of
from training.run_config import RunConfig

PROVENANCE_FILE = "provenance.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
_ROOT = Path(__file__).resolve().parents[1]


def provenance(config: RunConfig, data: Path) -> dict[str, Any]:
    """``config``, ``data`` (path to SHA-256) and ``code`` of a run, as JSON has them."""
    paths = [*(corpus.path for corpus in config.corpora), config.devel.path]
    return {"config": config.model_dump(mode="json"), "data": data_hashes(paths, data), "code": code_version()}


def write_provenance(run: Path, record: Mapping[str, Any]) -> None:
    (run / PROVENANCE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def data_hashes(paths: Iterable[Path], data: Path) -> dict[str, str]:
    """SHA-256 of everything that training or the choice of the epoch read; a folder's is that of its files' list."""
    return {
        str(path): _folder_hash(data / path) if (data / path).is_dir() else sha256_of(data / path) for path in paths
    }


def code_version() -> dict[str, Any]:
    """Versions of clincode and of the libraries that make weights, and the commit where this is a checkout."""
    from clincode import __version__

    code: dict[str, Any] = {"clincode": __version__, "libraries": {n: library_version(n) for n in LIBRARIES}}
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(_ROOT), *command], capture_output=True, text=True, timeout=20, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return code
    return {**code, "commit": commit, "uncommitted_changes": bool(changes)}


def _folder_hash(folder: Path) -> str:
    """As ``sha256sum * | sha256sum`` gives it in that folder."""
    lines = [f"{sha256_of(file)}  {file.name}\n" for file in sorted(folder.iterdir()) if file.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
