"""``clincode drift``: a reference of what training saw, and how far a deployment's notes and answers are from it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitoring.drift.monitor import Report
    from monitoring.drift.reference import ReferenceBuilder
    from monitoring.drift.sources import SourceNote

drift_app = typer.Typer(help="Watch over what notes and answers have become.", no_args_is_help=True)

_TEXT = "files or folders of training text: .txt, .jsonl (text or note_text), .tsv (IOB2); more than one is allowed"
_ANSWERS = "notes with the model's entities: .jsonl of 'feedback export', or text and answer a line"


@drift_app.command("reference")
def reference(
    text: Annotated[list[Path], typer.Option("--text", help=_TEXT)],
    out: Annotated[Path, typer.Option("--out", help="the reference, a JSON file")],
    answers: Annotated[list[Path] | None, typer.Option("--answers", help=_ANSWERS)] = None,
    is_masked: Annotated[
        bool, typer.Option("--masked", help="identifiers are masked already; default: mask them, as the gateway does")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="words by name at most; all others are counted by a hash")] = 4000,
    least_notes: Annotated[int, typer.Option(min=2, help="a word is named that so many different notes have")] = 10,
    source: Annotated[list[str] | None, typer.Option(help="the name of a source, to stand in the file")] = None,
) -> None:
    """Learn the reference of a deployment. The file holds counts of frequent words and sums over notes, no note."""
    from cli.gateway import clear_errors

    with clear_errors():
        from monitoring.drift.reference import ReferenceBuilder

        builder = ReferenceBuilder()
        for note in _notes(text, "text"):
            builder.add_text(note.text if is_masked else _masked(note.text))
        for note in _notes(answers or [], "answers"):
            _add_answer(builder, note)
        made = builder.built(datetime.now(UTC), source or (), top=top, least_notes=least_notes)
        out.write_text(json.dumps(made.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        words, answered = made.words, made.answers.notes if made.answers else 0
    typer.echo(
        f"{len(words.vocabulary.words)} words by name of {int(words.counts.sum())}, from {words.notes} texts; "
        f"{answered} answered notes",
        err=True,
    )


@drift_app.command("status")
def status(
    reference: Annotated[
        Path, typer.Option("--reference", envvar="CLINCODE_DRIFT_REFERENCE", help="a file of 'drift reference'")
    ],
    state: Annotated[
        Path | None, typer.Option("--state", envvar="CLINCODE_DRIFT_STATE", help="the state that a gateway keeps")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", envvar="CLINCODE_DRIFT_LABELS", help="a folder of weekly scores, 2026-W48.json"),
    ] = None,
    word_limit: Annotated[
        float, typer.Option("--word-limit", envvar="CLINCODE_DRIFT_WORD_LIMIT", help="of the divergence of words")
    ] = 0.15,
    as_json: Annotated[bool, typer.Option("--json", help="the whole report as JSON")] = False,
) -> None:
    """Say what has drifted since when, as of the state last kept. Ends with 1 where there is an alert."""
    from cli.gateway import clear_errors

    with clear_errors():
        from monitoring.drift.monitor import DriftMonitor, Limits
        from monitoring.drift.reference import read_reference
        from monitoring.drift.store import read_label_weeks, read_state

        monitor = DriftMonitor(read_reference(reference), Limits(word_kl=word_limit))
        if state is not None and (kept := read_state(state)) is not None:
            monitor.restore(kept)
        if labels is not None:
            monitor.label_weeks = read_label_weeks(labels)
        report = monitor.report(datetime.now(UTC))
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=2))
        else:
            _print(report)
    raise typer.Exit(1 if report.alerts else 0)


def _notes(paths: list[Path], name: str) -> "Iterator[SourceNote]":
    from tqdm import tqdm

    from monitoring.drift.sources import files_of, read_notes

    with tqdm(desc=name, unit="note", disable=None) as bar:
        for path in files_of(paths):
            for note in read_notes(path):
                yield note
                bar.update()


def _masked(text: str) -> str:
    from clincode.phi import find_identifiers, masked

    return masked(text, find_identifiers(text))


def _add_answer(builder: "ReferenceBuilder", note: "SourceNote") -> None:
    if note.entities is None:
        raise ValueError("a note of --answers has no entities of the model")
    try:
        builder.add_answer(note.text, note.entities, note.note_type)
    except (KeyError, TypeError, ValueError):
        raise ValueError("a note of --answers has entities that are none") from None


def _print(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "value", "", title=f"drift, {report.at:%Y-%m-%d %H:%M} UTC")
    table.add_row("words, KL", _number(report.word_kl), f"{report.window_notes} notes in the window")
    if report.types is not None:
        test = report.types
        table.add_row(
            "entity types, p", f"{test.p:.2g}", f"{report.week}, {test.notes} notes, {test.entities} entities"
        )
        table.add_row("  Cramér's V", _number(test.cramers_v), f"design effect {test.design_effect:.1f}")
    if (latest := report.labels.latest) is not None:
        interval = f"{latest.low:.3f} to {latest.high:.3f}"
        detail = f"{latest.week}, {interval}, {latest.predictions} predictions: {report.labels.verdict}"
        table.add_row("labels, F1", _number(latest.f1), detail)
    table.add_row("confidence, PSI", _number(report.confidence_psi), "")
    for name, pair in (
        ("entities per note", report.entities_per_note),
        ("words in no entity", report.outside_share),
        ("words without a name", report.unnamed_share),
    ):
        table.add_row(name, _number(pair[0]), f"expected {_number(pair[1])}")
    console = Console()
    console.print(table)
    if report.words and report.word_kl is not None:
        words = Table("word", "share now", "in the reference", title="what adds most to KL")
        for word, now, before in report.words:
            words.add_row(word, f"{now:.5f}", f"{before:.5f}")
        console.print(words)
    for alert in report.alerts:
        beyond = f"{alert.value:.3g} beyond {alert.limit:g}"
        console.print(f"ALERT {alert.kind}: {beyond} since {alert.since}; {alert.advice}", highlight=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
