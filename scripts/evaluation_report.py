"""The evaluation report of a released model, for docs/models/.

    .venv/bin/python scripts/evaluation_report.py --data DATA [--model DIR] [--bias report.json] [--runs 100]
    .venv/bin/python scripts/evaluation_report.py --data DATA --again   # latency, size and bias alone, anew

Scored on MACCROBAT devel, which chose nothing and taught nothing; negation on the NegEx kit's devel. The temperature is
fitted on one half of the documents and measured on the other, both ways round; it is shown, not stored. Writes
docs/models/evaluation-<release>.html, .png and .json, of which the page can be drawn again; no text of a corpus is in
any of them.
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
from training.evaluation.measure import baseline_scores, latency_figures, machine, ner_figures, size_gb, type_f1
from training.evaluation.reading import Reading, load_tagger, right_or_wrong
from training.evaluation.report import write_report
from training.evaluation.temperature import calibration, cross_fitted, fit_temperature
from training.ner_report import read_history
from training.pipeline.gates import judge, read_gates

NOTE = ROOT / "docs" / "examples" / "discharge_500_words.txt"


def main(
    data: Annotated[Path, typer.Option(help="folder of the public corpora")],
    model: Annotated[Path | None, typer.Option(help="model folder; default: the newest release")] = None,
    bias: Annotated[Path | None, typer.Option(help="JSON of a bias audit of this model")] = None,
    run: Annotated[Path | None, typer.Option(help="folder of the run, whose curves are shown")] = None,
    runs: Annotated[int, typer.Option(min=1, help="notes that are timed")] = 100,
    remark: Annotated[str, typer.Option(help="shown with the times")] = "",
    again: Annotated[bool, typer.Option("--again", help="take the scores from the JSON that is there")] = False,
    out: Annotated[Path, typer.Option(help="folder of the report")] = ROOT / "docs" / "models",
) -> None:
    """Measure and write."""
    model = model or newest_release()
    bundle = bundle_of(model)
    name = f"evaluation-{model.name}"
    file = out / f"{name}.json"
    figures = json.loads(file.read_text(encoding="utf-8")) if again else scores(model, data)
    figures["latency"] = latency_figures(Pipeline.from_bundle(bundle), [NOTE.read_text(encoding="utf-8")], runs=runs)
    figures["latency"]["remark"] = remark
    figures |= {"size_gb": size_gb(bundle), "machine": machine(), "latency_date": date.today().isoformat()}
    if bias is not None:
        figures["bias"] = json.loads(bias.read_text(encoding="utf-8"))
        for group in figures["bias"]["groups"]:
            group["examples"] = []
    if run is not None:
        figures["history"] = read_history(run)
    figures["gates"] = verdicts(figures)
    kept = {key: value for key, value in figures.items() if key != "bias"}  # it has a file of its own
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_report(figures, out / f"{name}.html", main_figure=out / f"{name}.png")
    size = (out / f"{name}.html").stat().st_size / 1e6
    typer.echo(f"{out / name}.html: {size:.2f} MB, temperature {figures['calibration']['temperature']:g}")


def verdicts(figures: dict[str, Any]) -> dict[str, Any]:
    """What the pipeline's gates would say of these figures."""
    gates = ROOT / "config" / "gates.yaml"
    served = "before" if figures["served_temperature"] == 1 else "after"
    evidence = {
        "entity_f1": figures["scores"]["micro"]["f1"],
        "type_f1": type_f1(figures["scores"]),
        "negation_accuracy": figures["negation"]["accuracy"],
        "p95_ms": figures["latency"]["p95"],
        "size_gb": figures["size_gb"],
        "ece": figures["calibration"][served]["ece"],
    }
    remark = "the release is older than the gates; this is what they would say of it as it is served"
    return {"file": str(gates.relative_to(ROOT)), "remark": remark, **judge(read_gates(gates), evidence).to_dict()}


def scores(model: Path, data: Path) -> dict[str, Any]:
    """Everything that does not depend on the machine."""
    guideline = GUIDELINES["clincode"]
    sentences = READERS["iob2"](data / "maccrobat" / "devel.iob2.tsv", guideline)
    learnt = READERS["iob2"](data / "maccrobat" / "train.iob2.tsv", guideline)
    tagger = load_tagger(model)
    reading = Reading.of(tagger, sentences)
    tags = set(guideline.tags.values())
    temperature = fit_temperature(reading, sentences, tags)
    how = "Fitted and measured on MACCROBAT devel, each half at the temperature of the other; the one shown is of both."
    return {
        "model": tagger.config.version,
        "served_temperature": tagger.config.temperature,
        "corpus": "MACCROBAT devel",
        "sentences": len(sentences),
        "date": date.today().isoformat(),
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
    }


if __name__ == "__main__":
    typer.run(main)
