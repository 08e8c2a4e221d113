"""Publish a model as a version, and fetch it again: immutable, whole, and checked byte for byte.

An artifact's folder is a model folder (FP16 weights merged with their base, encoder configuration, tokenizer,
``clincode.json``), so that ``scripts/archive.sh`` and ``clincode … --model`` take it as it is; beside stand the
evaluation's reports, the model card and ``artifact.json``.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clincode.config import ModelConfig
from clincode.errors import BundleError
from clincode.integrity import check_files, file_names, sums_of
from training.bundle import write_checkpoint
from training.provenance import code_version
from training.registry.manifest import ARTIFACT_FILE, Manifest, verify
from training.registry.store import AlreadyThereError, RegistryError, Store, StoredKey
from training.registry.versions import Version, parsed

__all__ = ["digest", "fetch", "prune", "publish", "read_manifest", "verify", "versions"]

CARD_FILE = "card.md"
EVALUATION_FOLDER = "evaluation"
LEAST_KEPT = 5
_ABANDONED_SECONDS = 24 * 3600


def publish(
    model_dir: Path,
    store: Store,
    *,
    version: str | Version,
    evaluation: Path | None = None,
    card: Path | None = None,
    training_config: Mapping[str, Any],
    data_hashes: Mapping[str, str],
    notes: str = "",
    code: Mapping[str, Any] | None = None,
) -> Manifest:
    """Make ``model_dir`` (a release, a checkpoint or a Hugging Face folder) the version ``version`` of the store.

    The artifact's ``clincode.json`` names ``version``, whatever training called the model, so that every answer says
    which artifact gave it. ``evaluation`` is a file or a folder; ``code`` is what trained the model, as ``provenance``
    has it; what publishes it is noted too. The version shows only when all of it is there.

    Raises:
        RegistryError: the version is there already, or the store cannot be reached.
        BundleError: ``model_dir`` is no model folder, or one of its files does not fit.
    """
    name = version if isinstance(version, Version) else Version.parse(version)
    _refuse_existing(store, name)
    with tempfile.TemporaryDirectory(prefix="clincode-publish-") as temporary:
        folder = Path(temporary)
        write_checkpoint(model_dir, folder)
        replace(ModelConfig.load(folder), version=str(name)).save(folder)
        if evaluation is not None:
            _copy(evaluation, folder / EVALUATION_FOLDER)
        if card is not None:
            shutil.copyfile(card, folder / CARD_FILE)
        manifest = Manifest(
            name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            secrets.token_hex(4),
            sums_of(folder, file_names(folder)),
            training_config,
            data_hashes,
            {"trained_by": None if code is None else dict(code), "published_by": code_version()},
            notes,
        )
        document = manifest.to_bytes()
        for file in tqdm(manifest.files, desc=f"publishing {name}", unit="file", disable=None):
            store.upload(folder / file, manifest.key(file))
    try:
        store.create(f"{name}/{ARTIFACT_FILE}", document)
    except AlreadyThereError:
        store.delete(map(manifest.key, manifest.files))
        raise RegistryError(f"{store.url}: {name} was published by somebody else meanwhile") from None
    return manifest


def versions(store: Store) -> list[Version]:
    """The versions that are whole, oldest first."""
    return _versions(store.keys())


def read_manifest(version: str | Version, store: Store) -> Manifest:
    """Raises ``RegistryError`` where the store has no such version."""
    name = str(version if isinstance(version, Version) else Version.parse(version))
    if name not in map(str, _versions(store.keys(f"{name}/"))):
        raise RegistryError(f"{store.url}: has no {name}")
    manifest = Manifest.from_bytes(store.read(f"{name}/{ARTIFACT_FILE}"), f"{store.url}/{name}/{ARTIFACT_FILE}")
    if str(manifest.version) != name:
        raise BundleError(f"{store.url}/{name}/{ARTIFACT_FILE}: is the manifest of {manifest.version}")
    return manifest


def digest(manifest: Manifest) -> str:
    """One SHA-256 for all of an artifact. Kept outside of the store, it shows an artifact that was made anew."""
    return hashlib.sha256(manifest.to_bytes()).hexdigest()


def fetch(version: str | Version, store: Store, to: Path, *, expected: str | None = None) -> Path:
    """Bring an artifact into the folder ``to``, which appears only when every file is checked.

    Where ``to`` is that very artifact already, nothing is done. ``expected`` is the digest that it must have.

    Raises:
        RegistryError: no such version, ``to`` is something else, or the store cannot be reached.
        BundleError: a file is not what was published, or the artifact not the one that was expected.
    """
    manifest = read_manifest(version, store)
    if expected is not None and digest(manifest) != expected.removeprefix("sha256:"):
        raise BundleError(f"{store.url}: {manifest.version} is not the artifact with the digest {expected}")
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        if not (to / ARTIFACT_FILE).is_file() or verify(to) != manifest:
            raise RegistryError(f"{to}: is there already, and is not {manifest.version} of {store.url}")
        return to
    staging = to.absolute().with_name(f".{to.absolute().name}.{os.getpid()}.new")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for name in tqdm(manifest.files, desc=f"fetching {manifest.version}", unit="file", disable=None):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            store.download(manifest.key(name), staging / name)
            try:
                check_files(staging, {name: manifest.files[name]})
            except BundleError:
                raise BundleError(f"{store.url}/{manifest.key(name)}: is not what was published") from None
        (staging / ARTIFACT_FILE).write_bytes(manifest.to_bytes())
        os.rename(staging, to)
    except OSError as error:
        raise RegistryError(f"{to}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return to


def prune(
    store: Store, keep: int = LEAST_KEPT, *, protected: Collection[str | Version] = (), dry_run: bool = False
) -> list[Version]:
    """Delete the oldest versions, and what publications that never ended left a day ago; returns those versions.

    Of each variant the ``keep`` newest stay, and any of ``protected``: what serves, and what is on trial.

    Raises:
        RegistryError: ``keep`` is under five, or a protected version is not in the store (a slip of the pen would
            otherwise leave the one that was meant unprotected).
    """
    if keep < LEAST_KEPT:
        raise RegistryError(f"at least {LEAST_KEPT} versions are kept, not {keep}")
    keys = store.keys()
    there = _versions(keys)
    safe = {v if isinstance(v, Version) else Version.parse(v) for v in protected}
    if missing := sorted(safe - set(there)):
        raise RegistryError(f"{store.url}: has no {', '.join(map(str, missing))} to protect")
    for variant in {v.variant for v in there}:
        safe.update([v for v in there if v.variant == variant][-keep:])
    old = [v for v in there if v not in safe]
    if not dry_run:
        for version in old:
            # The manifest goes first: from then on the version is not there, whatever happens to the rest.
            names = [key.name for key in keys if key.name.startswith(f"{version}/")]
            store.delete(sorted(names, key=lambda name: name != f"{version}/{ARTIFACT_FILE}"))
        store.delete(_abandoned(store, keys, [v for v in there if v not in old]))
    return old


def _versions(keys: Collection[StoredKey]) -> list[Version]:
    ending = f"/{ARTIFACT_FILE}"
    return parsed(key.name.removesuffix(ending) for key in keys if key.name.endswith(ending))


def _refuse_existing(store: Store, version: Version) -> None:
    if version in _versions(store.keys(f"{version}/")):
        raise RegistryError(f"{store.url}: {version} is published, and what is published does not change")


def _abandoned(store: Store, keys: Collection[StoredKey], there: Collection[Version]) -> list[str]:
    """Keys of publications that no manifest names and to which nothing was added for a day."""
    named = {(str(version), read_manifest(version, store).publication) for version in there}
    groups: dict[tuple[str, str], list[StoredKey]] = {}
    for key in keys:
        version, publication, *rest = [*key.name.split("/"), ""]
        if any(rest) and parsed([version]) and (version, publication) not in named:
            groups.setdefault((version, publication), []).append(key)
    then = time.time() - _ABANDONED_SECONDS
    return [key.name for group in groups.values() if max(key.modified for key in group) < then for key in group]


def _copy(source: Path, folder: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, folder)
    else:
        folder.mkdir()
        shutil.copyfile(source, folder / source.name)
