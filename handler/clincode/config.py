"""Settings that a model carries with it, and the package's data files."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from clincode.errors import BundleError, ResourceError
from clincode.labels import LABELS, OUTSIDE, TAG_TO_TYPE, split_label

MODEL_CONFIG_FILE = "clincode.json"
ENCODER_CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
TERMINOLOGY_FILE = "icd10cm.json.gz"
LINKER_FOLDER = "linker"
"""Folder of a bundle with the linker's encoder, vectors and ranker."""

OWN_RULES = "CLINCODE_RULES"
"""Environment variable: a folder with a hospital's own rows, in files named as those of ``resources/``."""
SERVING_HEAD = "clincode"
"""Name of the head whose labels are the five types of the API."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What ``clincode.json`` in a model folder says.

    ``heads`` maps a head's name to its labels; the head named ``clincode`` serves, the others follow the guideline
    of the corpus that they are named after. ``max_tokens`` counts the special tokens. ``temperature`` divides the
    logits before probabilities are made of them (Guo et al. 2017): above 1 the model is less sure, and finds the same.
    """

    version: str
    heads: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {SERVING_HEAD: LABELS})
    max_tokens: int = 512
    overlap: int = 128
    dropout: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        faults = []
        if self.max_tokens < 8:
            faults.append(f"max_tokens is {self.max_tokens}, must be at least 8")
        if not 0 <= self.overlap < self.max_tokens - 2:
            faults.append(f"overlap is {self.overlap}, must be in [0, max_tokens - 2)")
        if not 0.05 <= self.temperature <= 20:
            faults.append(f"temperature is {self.temperature}, must be in [0.05, 20]")
        if SERVING_HEAD not in self.heads:
            faults.append(f"heads has no '{SERVING_HEAD}'")
        for name, labels in self.heads.items():
            unknown = [label for label in labels if label != OUTSIDE and split_label(label)[1] not in TAG_TO_TYPE]
            if unknown and name == SERVING_HEAD:
                faults.append(f"head '{name}' has labels of no known type: {', '.join(unknown)}")
            if OUTSIDE not in labels or len(set(labels)) != len(labels):
                faults.append(f"head '{name}' must name O and no label twice")
        if faults:
            raise BundleError(f"{MODEL_CONFIG_FILE}: " + "; ".join(faults))

    @classmethod
    def load(cls, folder: Path) -> "ModelConfig":
        """Read ``folder/clincode.json``; raises ``BundleError`` naming every fault."""
        path = folder / MODEL_CONFIG_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: not a readable model configuration ({error})") from error
        known = set(cls.__dataclass_fields__)
        if not isinstance(data, dict) or not set(data) <= known or "version" not in data:
            raise BundleError(f"{path}: must be an object with 'version' and no keys but {sorted(known)}")
        if "heads" in data:
            data["heads"] = {name: tuple(labels) for name, labels in data["heads"].items()}
        return cls(**data)

    def save(self, folder: Path) -> None:
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["heads"] = {name: list(labels) for name, labels in self.heads.items()}
        text = json.dumps(data, indent=2) + "\n"
        (folder / MODEL_CONFIG_FILE).write_text(text, encoding="utf-8")


def load_tsv_resource(name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of ``resources/<name>``, then those of the file of that name in the folder that ``CLINCODE_RULES`` names.

    Both have ``columns`` as their header; blank lines and ``#`` comments are skipped.

    Raises:
        ResourceError: names file and line where a row does not have exactly these columns, or the folder that is none.
    """
    rows = _tsv_rows(name, resources.files("clincode").joinpath("resources", name).read_text(encoding="utf-8"), columns)
    own = os.environ.get(OWN_RULES)
    if not own:
        return rows
    if not Path(own).is_dir():
        raise ResourceError(f"{OWN_RULES}={own}: no such folder")
    file = Path(own) / name
    return [*rows, *_tsv_rows(str(file), file.read_text(encoding="utf-8"), columns)] if file.is_file() else rows


def _tsv_rows(name: str, text: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    numbered = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not numbered or tuple(numbered[0][1].split("\t")) != columns:
        raise ResourceError(f"{name}: the header must be {columns}")
    rows = []
    for i, line in numbered[1:]:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ResourceError(f"{name}:{i}: {len(cells)} columns, expected {len(columns)}")
        rows.append(dict(zip(columns, (cell.strip() for cell in cells), strict=True)))
    return rows


def load_json_resource(name: str) -> Any:
    """The parsed content of ``resources/<name>``."""
    text = resources.files("clincode").joinpath("resources", name).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ResourceError(f"{name}: {error}") from error
