"""``artifact.json``: what an artifact is, and the checksum of each of its files. Its last file to be written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clincode.errors import BundleError
from clincode.integrity import FileSum, as_json, check_files, file_names, sealed, sums_from_json, unsealed_text
from training.registry.versions import Version

ARTIFACT_FILE = "artifact.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """``files`` are by their path in the artifact's folder; in a store they stand below ``publication``, so that two
    who publish the same version at the same time do not write over each other."""

    version: Version
    created: str
    publication: str
    files: Mapping[str, FileSum]
    training_config: Mapping[str, Any] = field(default_factory=dict)
    data_hashes: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def key(self, name: str) -> str:
        """Where the store has the file."""
        return f"{self.version}/{self.publication}/{name}"

    def to_bytes(self) -> bytes:
        document = {
            "format": _FORMAT,
            "version": str(self.version),
            "created": self.created,
            "publication": self.publication,
            "files": as_json(self.files),
            "training_config": dict(self.training_config),
            "data_hashes": dict(self.data_hashes),
            "code": dict(self.code),
            "notes": self.notes,
        }
        return sealed(document).encode()

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Manifest":
        """Raises ``BundleError`` where a byte was changed, or where it is of a format that this code does not read."""
        document = unsealed_text(data, source)
        if document.get("format") != _FORMAT:
            raise BundleError(f"{source}: format {document.get('format')}, known is {_FORMAT}")
        try:
            manifest = cls(
                Version.parse(document["version"]),
                document["created"],
                document["publication"],
                sums_from_json(document["files"], source),
                document["training_config"],
                document["data_hashes"],
                document["code"],
                document["notes"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{source}: not a manifest ({error})") from None
        if not manifest.publication.isalnum():
            raise BundleError(f"{source}: the publication '{manifest.publication}' is no name of a folder")
        return manifest


def verify(folder: Path) -> Manifest:
    """Check an artifact's folder: every file as it was published, and none besides.

    Raises:
        BundleError: names the first file at fault.
    """
    path = folder / ARTIFACT_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    manifest = Manifest.from_bytes(data, str(path))
    check_files(folder, manifest.files)
    if strange := [name for name in file_names(folder) if name not in manifest.files and name != ARTIFACT_FILE]:
        raise BundleError(f"{folder / strange[0]}: not of the artifact {manifest.version}")
    return manifest
