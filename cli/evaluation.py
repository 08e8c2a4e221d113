"""``clincode evaluate``: score a model on annotated data."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import CorpusFormat, DataOption, JsonOption, ModelOption, clear_errors, write_figures
from clincode.types import NoteType

evaluate = typer.Typer(help="Score a model on annotated data.", no_args_is_help=True)


@evaluate.command("ner")
def evaluate_ner(
    data: DataOption,
    format: Annotated[CorpusFormat, typer.Option("--format", help="how the corpus is written")] = CorpusFormat.iob2,
    guideline: Annotated[str | None, typer.Option(help="score the head trained to this corpus's guideline")] = None,
    corpus: Annotated[str | None, typer.Option(help="whose tags the file has; by default they are recognised")] = None,
    dictionary: Annotated[
        list[Path] | None, typer.Option(help="training data: scores the longest-match dictionary built from it instead")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="with --dictionary: that dictionary and hand-written patterns together")
    ] = False,
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="training data: the dictionary and the rules built from it are scored beside"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="write scores, confusions and errors to this file (HTML), without text of the corpus"),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="with --report: a training run's folder, whose curves the report shows")
    ] = None,
    examples: Annotated[
        bool,
        typer.Option("--examples", help="with --report: a few errors of each kind; THE REPORT THEN HOLDS CORPUS TEXT"),
    ] = False,
    model: ModelOption = None,
    json_out: JsonOption = None,
) -> None:
    """Strict entity scores: type and both boundaries, with 95% bootstrap intervals of F1.

    Scored is the model or, with --dictionary, a baseline; --compare, --report and --json add to either.
    """
    with clear_errors():
        from cli.evaluate import evaluate_ner as evaluated
        from cli.evaluate import print_ner

        if report is None and (run is not None or examples):
            raise ValueError("--run and --examples need --report")
        result = evaluated(
            data,
            format.value,
            guideline=guideline,
            corpus=corpus,
            dictionary=dictionary or (),
            rules=rules,
            compare=compare or (),
            model=model,
        )
        print_ner(result.figures)
        write_figures(json_out, result.figures)
        if report is not None:
            from training.ner_report import read_history, write_ner_report

            write_ner_report(
                report,
                title=f"{result.system} on {data.name}",
                system=result.system,
                sentences=result.sentences,
                predicted=result.predicted,
                guideline=result.guideline,
                scores=result.scores,
                baselines=result.baselines,
                history=read_history(run) if run is not None else None,
                examples=examples,
            )


@evaluate.command("assertion")
def evaluate_assertion(
    data: DataOption,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="score a window of five words about each negation instead (negated only)")
    ] = False,
    json_out: JsonOption = None,
) -> None:
    """Negation, temporality and experiencer of given concepts."""
    with clear_errors():
        from cli.evaluate import print_assertions
        from training.evaluate_assertions import evaluate_assertions

        scores = evaluate_assertions(data, baseline=baseline)
        print_assertions(scores)
        write_figures(json_out, scores)


@evaluate.command("references")
def evaluate_references(data: DataOption, json_out: JsonOption = None) -> None:
    """What words point back to, on a MACCROBAT folder, beside the nearest mention of a fitting type."""
    with clear_errors():
        from cli.evaluate import print_assertions
        from training.evaluate_references import evaluate_references as scores_of

        scores = scores_of(data)
        print_assertions(scores, "references")
        write_figures(json_out, scores)


@evaluate.command("challenge")
def evaluate_challenge(
    data: DataOption,
    report: Annotated[Path | None, typer.Option(help="Markdown file to write counts and misses to")] = None,
    model: ModelOption = None,
) -> None:
    """Tables of sentences written to be hard, and every one that goes wrong (tests/challenge)."""
    with clear_errors():
        from cli.models import bundle_of
        from clincode.pipeline import Pipeline
        from training.challenge import report as lines_of
        from training.challenge import run_tables

        lines = "\n".join(lines_of(run_tables(data, Pipeline.from_bundle(bundle_of(model)))))
        typer.echo(lines)
        if report is not None:
            report.write_text(f"# Challenge tables\n\n{lines}\n", encoding="utf-8")


@evaluate.command("cases")
def evaluate_cases(
    data: DataOption,
    report: Annotated[Path | None, typer.Option(help="Markdown file to write counts and misses to")] = None,
    model: ModelOption = None,
) -> None:
    """Written notes and the code that must stand first on their list (tests/coding)."""
    with clear_errors():
        from cli.models import bundle_of
        from clincode.pipeline import Pipeline
        from training.coding_cases import read_tables, run_coding_cases
        from training.coding_cases import report as lines_of

        tables = read_tables(data)
        pipeline = Pipeline.from_bundle(bundle_of(model))
        lines = "\n".join(lines_of({name: run_coding_cases(cases, pipeline) for name, cases in tables.items()}))
        typer.echo(lines)
        if report is not None:
            report.write_text(f"# Coding cases\n\n{lines}\n", encoding="utf-8")


@evaluate.command("bias")
def evaluate_bias(
    model: ModelOption = None,
    json_out: JsonOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="write an HTML page with pictures, tables and pairs that differ")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="draw the differences to this file (PNG, SVG or PDF)")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="another model's --json: end with 1 where this one has a new flag")
    ] = None,
) -> None:
    """The same sentences about different people: does the model answer alike, and as rightly?"""
    with clear_errors():
        from cli.evaluate import audit_bias, print_bias, read_bias

        known = read_bias(previous) if previous is not None else None
        result = audit_bias(model)
        is_worse = print_bias(result, known)
        write_figures(json_out, result.to_dict())
        if report is not None or plot is not None:
            from training.bias.report import plot_differences, write_bias_report

            if report is not None:
                write_bias_report(report, result)
            if plot is not None:
                plot_differences(result, plot)
    raise typer.Exit(1 if is_worse else 0)


@evaluate.command("phi")
def evaluate_phi(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="notes to put identifiers into: a folder of .txt, or JSON lines with `text`"),
    ],
    purpose: Annotated[str, typer.Option(help="lines with identifiers that are put in: test or tuning")] = "test",
    seed: Annotated[int, typer.Option(help="of the identifiers and their places")] = 13,
    most: Annotated[int, typer.Option(help="notes of each path to read at most")] = 200,
    entities: Annotated[
        list[Path] | None,
        typer.Option(help="a brat folder or JSON lines: the share of its entities that redaction touches, beside"),
    ] = None,
    model: ModelOption = None,
    json_out: JsonOption = None,
) -> None:
    """Identifiers found in notes into which invented ones are put, and what redaction takes from the clinic.

    --entities counts gold entities where the corpus has some, else what the model finds in it.
    """
    with clear_errors():
        from cli.evaluate import print_figures, redaction_losses
        from training.evaluate_phi import evaluate_phi as scores_of
        from training.evaluate_phi import flat_figures

        scores = scores_of(data, purpose=purpose, seed=seed, most=most)
        print_figures("identifiers", flat_figures(scores))
        if entities:
            scores["entity_loss"] = redaction_losses(entities, model)
            for name, loss in scores["entity_loss"].items():
                figures = {"share": f"{loss['share']:.2%}", **{k: loss[k] for k in ("touched", "entities", "gold")}}
                print_figures(f"entities touched, {name}", figures)
        write_figures(json_out, scores)


@evaluate.command("icd")
def evaluate_icd(data: DataOption, model: ModelOption = None, json_out: JsonOption = None) -> None:
    """ICD-10-CM codes of given mentions."""
    with clear_errors():
        from cli.evaluate import print_figures
        from cli.models import bundle_of
        from clincode.pipeline import load_linker
        from training.evaluate_icd import evaluate_icd as figures_of

        figures = figures_of(data, load_linker(bundle_of(model)))
        print_figures("ICD-10-CM linking", figures)
        write_figures(json_out, figures)


@evaluate.command("coding")
def evaluate_coding(
    data: DataOption,
    model: ModelOption = None,
    json_out: JsonOption = None,
    report: Annotated[
        Path | None, typer.Option(help="write an HTML page with pictures and the missed codes by cause")
    ] = None,
    note_type: Annotated[
        NoteType, typer.Option(help="the setting that the notes are coded as")
    ] = NoteType.DISCHARGE_SUMMARY,
) -> None:
    """ICD-10-CM codes of whole notes."""
    with clear_errors():
        from cli.evaluate import print_figures
        from cli.models import bundle_of
        from clincode.pipeline import Pipeline
        from training.evaluate_coding import cause_counts, code_notes, coding_figures, read_coded_notes

        notes = read_coded_notes(data)
        pipeline = Pipeline.from_bundle(bundle_of(model))
        scored = code_notes(notes, pipeline, note_type)
        figures = coding_figures(scored, pipeline.terminology)
        for level in ("code", "category"):
            print_figures(f"note coding, {level}", figures[level])
        counts = {name: figures[name] for name in ("n", "gold", "not_in_year", "not_billable_in_year")}
        print_figures(f"gold codes, loaded year {pipeline.terminology.release}", counts)
        figures["missed"] = cause_counts(scored, pipeline.terminology)
        print_figures("gold codes that were missed, by cause", figures["missed"])
        if report is not None:
            from training.coding_report import write_coding_report

            write_coding_report(scored, figures, pipeline.terminology, report)
        write_figures(json_out, figures)
