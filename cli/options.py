"""Options, and the handling of faults and figures, that commands share."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

ModelOption = Annotated[Path | None, typer.Option("--model", help="model folder; default: the newest release")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="write the figures to this file")]
DataOption = Annotated[Path, typer.Option("--data", help="file or folder of the corpus")]


class CorpusFormat(StrEnum):
    iob2 = "iob2"
    brat = "brat"
    jsonl = "jsonl"
    hub = "hub"


@contextmanager
def clear_errors(*further: type[Exception]) -> Iterator[None]:
    """One line for what a user can mend, instead of a traceback; ``further`` are a command's own such faults."""
    from clincode.errors import BundleError, ResourceError

    expected: tuple[type[Exception], ...] = (BundleError, ResourceError, ValueError, OSError, *further)
    try:
        yield
    except expected as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


def write_figures(path: Path | None, figures: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
