"""Whether a folder of files is still what was written: the SHA-256 and size of each, in a list that seals itself.

A seal is no signature. It shows damage and careless change; who can write the folder can also seal it anew. Where that
matters, compare the list's own SHA-256 (``digest``) with one that was kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from clincode.config import (
    ENCODER_CONFIG_FILE,
    LINKER_FOLDER,
    MODEL_CONFIG_FILE,
    TERMINOLOGY_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from clincode.errors import BundleError

CHECKSUMS_FILE = "checksums.json"
_SEAL = "seal"
_LOADED = (ENCODER_CONFIG_FILE, MODEL_CONFIG_FILE, TERMINOLOGY_FILE, TOKENIZER_FILE, WEIGHTS_FILE)


@dataclass(frozen=True, slots=True)
class FileSum:
    """What a listed file must be."""

    sha256: str
    size: int


def write_checksums(folder: Path) -> Path:
    """List every file that is in ``folder`` now; call it when everything else is written. Replaces an earlier list."""
    sums = sums_of(folder, (name for name in file_names(folder) if name != CHECKSUMS_FILE))
    out = folder / CHECKSUMS_FILE
    out.write_text(sealed({"files": as_json(sums)}), encoding="utf-8")
    return out


def verify_bundle(folder: Path) -> None:
    """Check a bundle, or an archive that TorchServe unpacked, before anything of it is read.

    Files that are not listed are passed over (TorchServe adds its own), unless they are such as serving loads.

    Raises:
        BundleError: a file is missing, changed or new, or there is no list; names the file.
    """
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        raise BundleError(f"{path}: missing. Every bundle has one; build it again (python -m training.bundle)")
    sums = sums_from_json(unsealed(path).get("files"), str(path))
    names = [*_LOADED, *(f"{LINKER_FOLDER}/{name}" for name in file_names(folder / LINKER_FOLDER))]
    if unlisted := sorted(name for name in names if name not in sums):
        raise BundleError(f"{folder / unlisted[0]}: not in {CHECKSUMS_FILE}, so it is not of this bundle")
    check_files(folder, sums)


def check_files(folder: Path, sums: Mapping[str, FileSum]) -> None:
    """Raises ``BundleError`` for the first file that is missing or not what its sum says."""
    for name, wanted in sums.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path}: missing")
        if path.stat().st_size != wanted.size or _sha256(path) != wanted.sha256:
            raise BundleError(f"{path}: was changed, its SHA-256 is not the one that was written with it")


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, FileSum]:
    return {name: FileSum(_sha256(folder / name), (folder / name).stat().st_size) for name in sorted(names)}


def file_names(folder: Path) -> list[str]:
    """Every file below ``folder``, by its path from there; none where there is no folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def as_json(sums: Mapping[str, FileSum]) -> dict[str, dict[str, str | int]]:
    return {name: {"sha256": value.sha256, "size": value.size} for name, value in sums.items()}


def sums_from_json(data: Any, source: str) -> dict[str, FileSum]:
    """Raises ``BundleError`` where it is no list of files, or names one outside of its folder."""
    try:
        sums = {str(name): FileSum(str(value["sha256"]), int(value["size"])) for name, value in data.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BundleError(f"{source}: has no readable list of files") from None
    for name in sums:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name:
            raise BundleError(f"{source}: lists '{name}', which is outside of its folder")
    return sums


def sealed(document: Mapping[str, Any]) -> str:
    """The document as JSON text with a checksum of itself, so that a change of the text shows."""
    body = json.dumps(document, indent=2, sort_keys=True)
    seal = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({**document, _SEAL: seal}, indent=2, sort_keys=True) + "\n"


def unsealed(path: Path) -> dict[str, Any]:
    """What ``sealed`` wrote to ``path``; raises ``BundleError`` where one byte is not as it was."""
    try:
        return unsealed_text(path.read_bytes(), str(path))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error


def unsealed_text(data: bytes, source: str) -> dict[str, Any]:
    """As ``unsealed``, of bytes that came from ``source``."""
    try:
        document = json.loads(data)
        del document[_SEAL]
        unchanged = sealed(document).encode() == data
    except (ValueError, KeyError, TypeError):
        unchanged = False
    if not unchanged:
        raise BundleError(f"{source}: was changed after it was written")
    return dict(document)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    import sys

    write_checksums(Path(sys.argv[1]))
