"""The console script ``clincode``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.codes import codes
from cli.drift import drift_app
from cli.evaluation import evaluate
from cli.feedback import feedback_app
from cli.options import CorpusFormat, DataOption, JsonOption, ModelOption, clear_errors, write_figures
from cli.pipeline import pipeline_app
from cli.registry import registry_app
from cli.rollout import rollout_app
from cli.service import gateway_app

app = typer.Typer(
    help="Clinical entities, their context and ICD-10-CM codes from a physician's note.", no_args_is_help=True
)
app.add_typer(evaluate, name="evaluate")
for name, group in (
    ("gateway", gateway_app),
    ("feedback", feedback_app),
    ("pipeline", pipeline_app),
    ("registry", registry_app),
    ("rollout", rollout_app),
    ("drift", drift_app),
):
    app.add_typer(group, name=name)


@app.command()
def predict(
    file: Annotated[str, typer.Argument(help="a text file, or - for standard input")] = "-",
    jsonl: Annotated[bool, typer.Option("--jsonl", help="one request a line, one answer a line")] = False,
    model: ModelOption = None,
) -> None:
    """Analyse a note, or many, without a server."""
    with clear_errors():
        from cli.models import bundle_of
        from cli.predict import open_source, run
        from clincode.pipeline import Pipeline

        with open_source(file) as source:
            good = run(Pipeline.from_bundle(bundle_of(model)), source, sys.stdout, jsonl=jsonl)
    raise typer.Exit(0 if good else 1)


@app.command()
def explore(
    data: DataOption,
    format: Annotated[CorpusFormat, typer.Option("--format", help="how the corpus is written")] = CorpusFormat.iob2,
    corpus: Annotated[str | None, typer.Option(help="whose tags the file has; by default they are recognised")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="draw the four plots to this file (PNG, SVG or PDF)")
    ] = None,
    json_out: JsonOption = None,
) -> None:
    """Sizes, lengths, label shares and most frequent entities of an annotated corpus."""
    with clear_errors():
        from cli.evaluate import print_exploration, read_corpus
        from training.explore import explore_dataset, plot_entity_analysis

        dataset = {"train": read_corpus(data, format.value, corpus)[1]}
        figures = explore_dataset(dataset)
        print_exploration(data.name, figures)
        if plot is not None:
            plot_entity_analysis(dataset, out=plot)
        write_figures(json_out, figures)


app.command()(codes)
