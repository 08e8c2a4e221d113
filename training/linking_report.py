"""How often the linker's first code is right against how sure it is, on mentions that it did not learn from.

    python -m training.linking_report BUNDLE --data ../shared/data --out docs/

Writes ``linking-reliability.png`` and prints the expected calibration error. BUNDLE is a folder as ``training.bundle``
builds it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from clincode.errors import BundleError, ResourceError
from clincode.icd import IcdLinker
from clincode.pipeline import load_linker
from training.calibration import reliability
from training.corpora import CorpusError
from training.evaluate_icd import LinkingRecord, first_codes, read_records, written_out
from training.plots import plot_reliability, saved

DEVEL = "icd_linking/bc5cdr_devel.jsonl"
PICTURE = "linking-reliability.png"
_TOGETHER = 256


def first_code_confidences(records: Sequence[LinkingRecord], linker: IcdLinker) -> list[tuple[float, float]]:
    """For each record the confidence of the first code that its mention names, and 1 where it is right."""
    pairs: list[tuple[float, float]] = []
    with tqdm(total=len(records), desc="linking mentions", unit="mention") as progress:
        for start in range(0, len(records), _TOGETHER):
            part = records[start : start + _TOGETHER]
            pairs += first_codes(part, linker.named_all([written_out(record) for record in part], limit=1))
            progress.update(len(part))
    return pairs


def write_linking_report(records: Sequence[LinkingRecord], linker: IcdLinker, out: Path) -> float:
    """Draw ``out/linking-reliability.png``; returns the expected calibration error over ten bins.

    Raises:
        ValueError: matplotlib is not installed.
    """
    error, rows = reliability(first_code_confidences(records, linker))
    out.mkdir(parents=True, exist_ok=True)
    saved(plot_reliability(rows, error, "First ICD-10-CM code of a mention, BC5CDR devel"), out / PICTURE)
    return error


def main(
    bundle: Annotated[Path, typer.Argument(help="the bundle whose linker is measured")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="folder of the picture")],
) -> None:
    """Draw how reliable the linker's confidences are."""
    try:
        records = list(read_records(data / DEVEL))
        if not records:
            raise CorpusError(f"{data / DEVEL}: no records")
        error = write_linking_report(records, load_linker(bundle), out)
    except (BundleError, ResourceError, ValueError) as fault:
        typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{out / PICTURE}: ECE {error:.4f} on {len(records)} mentions")


if __name__ == "__main__":
    typer.run(main)
