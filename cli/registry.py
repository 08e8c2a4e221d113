"""``clincode registry``: publish models as versions, and list, fetch, check and prune what is published."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import clear_errors

registry_app = typer.Typer(help="Versions of models in an artifact store.", no_args_is_help=True)

Store = Annotated[
    str | None,
    typer.Option("--store", help="a folder or s3://bucket/prefix; default: CLINCODE_ARTIFACT_STORE, else artifacts/"),
]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="such as bert-clinical-ner-v1.2.3")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


@registry_app.command("publish")
def publish(
    model: Annotated[Path, typer.Argument(help="a run's best/, a release or a Hugging Face folder")],
    version: Annotated[str | None, typer.Option(help="the version; default: the one after the newest")] = None,
    part: Annotated[str, typer.Option(help="without --version, what is counted up: major, minor or patch")] = "patch",
    variant: Annotated[str, typer.Option(help="without --version, of which variant, such as base")] = "",
    config: Annotated[
        Path | None, typer.Option(help="the run's YAML; default: what the run or the release recorded")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="with --config, the folder of its corpora, for their hashes")
    ] = None,
    evaluation: Annotated[Path | None, typer.Option(help="report, or a folder of reports")] = None,
    card: Annotated[Path | None, typer.Option(help="model card; default: docs/models/VERSION.md where it is")] = None,
    notes: Annotated[str, typer.Option(help="a line on what is new")] = "",
    store: Store = None,
) -> None:
    """Publish a model: checked, complete, and never changed again. Prints its version and digest."""
    with _clear_errors():
        from cli.models import ROOT
        from training.registry.artifact import digest, versions
        from training.registry.artifact import publish as published
        from training.registry.store import open_store
        from training.registry.versions import next_version

        if part not in ("major", "minor", "patch"):
            raise ValueError("--part is major, minor or patch")
        if not model.is_dir():
            raise ValueError(f"{model}: no such folder")
        place = open_store(store)
        name = version or str(next_version(versions(place), part, variant))  # type: ignore[arg-type]
        own_card = ROOT / "docs" / "models" / f"{name}.md"
        record = _record(model, config, data)
        manifest = published(
            model,
            place,
            version=name,
            evaluation=evaluation,
            card=card or (own_card if own_card.is_file() else None),
            training_config=record["config"],
            data_hashes=record["data"],
            notes=notes,
            code=record.get("code"),
        )
        typer.echo(f"{manifest.version} sha256:{digest(manifest)}")


@registry_app.command("list")
def list_versions(store: Store = None, as_json: AsJson = False) -> None:
    """Every version, oldest first: when it was published, its size, its notes."""
    with _clear_errors():
        from training.registry.artifact import digest, read_manifest, versions
        from training.registry.store import open_store

        place = open_store(store)
        manifests = [read_manifest(version, place) for version in versions(place)]
        rows = [
            {
                "version": str(m.version),
                "created": m.created,
                "bytes": m.size,
                "sha256": digest(m),
                "notes": m.notes,
            }
            for m in manifests
        ]
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
            return
        for m in manifests:
            typer.echo(f"{m.version!s:<32} {m.created}  {m.size / 1e6:>6.1f} MB  {m.notes}".rstrip())
        if not rows:
            typer.echo(f"{place.url}: no version yet", err=True)


@registry_app.command("show")
def show(version: VersionArgument, store: Store = None) -> None:
    """What a version was made of and holds, as JSON; with its digest."""
    with _clear_errors():
        from training.registry.artifact import digest, read_manifest
        from training.registry.store import open_store

        manifest = read_manifest(version, open_store(store))
        typer.echo(json.dumps({"sha256": digest(manifest), **json.loads(manifest.to_bytes())}, indent=2))


@registry_app.command("fetch")
def fetch(
    version: VersionArgument,
    to: Annotated[Path, typer.Option("--to", help="the folder to make; it appears only when all of it is checked")],
    sha256: Annotated[str | None, typer.Option(help="the digest that the artifact must have")] = None,
    store: Store = None,
) -> None:
    """Bring a version here and check every file. The folder is a model folder."""
    with _clear_errors():
        from training.registry.artifact import fetch as fetched
        from training.registry.store import open_store

        typer.echo(fetched(version, open_store(store), to, expected=sha256))


@registry_app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(help="a fetched artifact, a bundle or an unpacked archive")]) -> None:
    """Check every file of a folder against the checksums that were written with it."""
    with _clear_errors():
        from clincode.integrity import verify_bundle
        from training.registry.manifest import ARTIFACT_FILE
        from training.registry.manifest import verify as verified

        if (folder / ARTIFACT_FILE).exists():
            typer.echo(f"{folder}: {verified(folder).version}, unchanged")
        else:
            verify_bundle(folder)
            typer.echo(f"{folder}: unchanged")


@registry_app.command("prune")
def prune(
    keep: Annotated[int, typer.Option(help="how many of the newest stay, of each variant; at least 5")] = 5,
    protect: Annotated[
        list[str] | None, typer.Option("--protect", help="a version that stays: what serves, and each canary")
    ] = None,
    none_serves: Annotated[bool, typer.Option("--none-serves", help="no version of this store serves")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say which, delete none")] = False,
    store: Store = None,
) -> None:
    """Delete the oldest versions. What serves must be named, or that nothing does."""
    with _clear_errors():
        from training.registry.artifact import prune as pruned
        from training.registry.store import open_store

        if not protect and not none_serves and not dry_run:
            raise ValueError("name what serves with --protect VERSION, or say --none-serves")
        for version in pruned(open_store(store), keep, protected=protect or (), dry_run=dry_run):
            typer.echo(f"{'would delete' if dry_run else 'deleted'} {version}")


def _record(model: Path, config: Path | None, data: Path | None) -> Mapping[str, Any]:
    """``config``, ``data`` and perhaps ``code`` of what trained the model."""
    from training.provenance import PROVENANCE_FILE, data_hashes
    from training.release import MANIFEST_FILE, read_manifest
    from training.run_config import load_run_config

    if config is not None:
        if data is None:
            raise ValueError("--config needs --data, the folder of its corpora")
        run = load_run_config(config)
        paths = [*(corpus.path for corpus in run.corpora), run.devel.path]
        return {"config": run.model_dump(mode="json"), "data": data_hashes(paths, data)}
    if (model / MANIFEST_FILE).is_file():
        training = read_manifest(model).get("training", {})
        code = {"libraries": training["libraries"]} if "libraries" in training else None
        return {"config": training.get("config", {}), "data": training.get("data", {}), "code": code}
    for folder in (model, model.resolve().parent):
        if (folder / PROVENANCE_FILE).is_file():
            record: dict[str, Any] = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
            return record
    raise ValueError(f"{model}: nothing says what it was trained with; give --config RUN.yaml --data FOLDER")


def _clear_errors() -> AbstractContextManager[None]:
    from training.registry.store import RegistryError

    return clear_errors(RegistryError)
