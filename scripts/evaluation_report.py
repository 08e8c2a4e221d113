"""The evaluation report of a released model, for docs/models/.

    .venv/bin/python scripts/evaluation_report.py --data DATA [--model DIR] [--bias report.json] [--runs 100]

Scored on MACCROBAT devel, which chose nothing and taught nothing; negation on the NegEx kit's devel. The temperature is
fitted on one half of the documents and measured on the other, both ways round; it is shown, not stored. Writes
docs/models/evaluation-<release>.html and .png; no text of a corpus is in either.
"""

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.models import ROOT, bundle_of, newest_release
from clincode.pipeline import Pipeline
from training.corpora import GUIDELINES, READERS
from training.evaluate_assertions import evaluate_assertions
from training.evaluation.measure import baseline_scores, latency_figures, machine, ner_figures, size_gb
from training.evaluation.reading import Reading, load_tagger, right_or_wrong
from training.evaluation.report import write_report
from training.evaluation.temperature import calibration, cross_fitted, fit_temperature
from training.ner_report import read_history

NOTE = ROOT / "docs" / "examples" / "discharge_500_words.txt"


def main(
    data: Annotated[Path, typer.Option(help="folder of the public corpora")],
    model: Annotated[Path | None, typer.Option(help="model folder; default: the newest release")] = None,
    bias: Annotated[Path | None, typer.Option(help="JSON of a bias audit of this model")] = None,
    run: Annotated[Path | None, typer.Option(help="folder of the run, whose curves are shown")] = None,
    runs: Annotated[int, typer.Option(min=1, help="notes that are timed")] = 100,
    out: Annotated[Path, typer.Option(help="folder of the report")] = ROOT / "docs" / "models",
) -> None:
    """Measure and write."""
    model = model or newest_release()
    guideline = GUIDELINES["clincode"]
    sentences = READERS["iob2"](data / "maccrobat" / "devel.iob2.tsv", guideline)
    learnt = READERS["iob2"](data / "maccrobat" / "train.iob2.tsv", guideline)
    tagger = load_tagger(model)
    reading = Reading.of(tagger, sentences)
    tags = set(guideline.tags.values())
    temperature = fit_temperature(reading, sentences, tags)
    how = "Fitted and measured on MACCROBAT devel, each half at the temperature of the other; the one shown is of both."
    bundle = bundle_of(model)
    figures: dict[str, Any] = {
        "model": tagger.config.version,
        "corpus": "MACCROBAT devel",
        "sentences": len(sentences),
        "date": date.today().isoformat(),
        "machine": machine(),
        "remark": "Devel chose nothing and taught nothing; BC5CDR devel was learnt from and is not scored.",
        **ner_figures(reading.tags(), sentences, guideline),
        "systems": baseline_scores(learnt, sentences, guideline),
        "calibration": calibration(
            right_or_wrong(reading.found(tagger.config.temperature), sentences, tags),
            cross_fitted(reading, sentences, tags),
            temperature,
            how,
        ),
        "negation": evaluate_assertions(data / "negex" / "devel.tsv")["negated"],
        "negation_remark": "Given concepts of the NegEx kit's devel.",
        "latency": latency_figures(Pipeline.from_bundle(bundle), [NOTE.read_text(encoding="utf-8")], runs=runs),
        "size_gb": size_gb(bundle),
        "history": read_history(run) if run is not None else None,
        "bias": json.loads(bias.read_text(encoding="utf-8")) if bias is not None else None,
    }
    name = f"evaluation-{tagger.config.version}"
    write_report(figures, out / f"{name}.html", main_figure=out / f"{name}.png")
    size = (out / f"{name}.html").stat().st_size / 1e6
    typer.echo(f"{out / name}.html: {size:.2f} MB, temperature {temperature:g}")


if __name__ == "__main__":
    typer.run(main)
