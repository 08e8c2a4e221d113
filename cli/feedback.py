"""``clincode feedback``: what coders decided as training data, the weekly sample, and the score of the suggestions."""

import json
import os
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from cli.gateway import _actor, clear_errors, deployment

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.feedback.score import Tally

feedback_app = typer.Typer(help="Learn from what coders decided.", no_args_is_help=True)

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Since = Annotated[datetime | None, typer.Option(formats=_TIMES, help="finished at this time (UTC) or later")]
Until = Annotated[datetime | None, typer.Option(formats=_TIMES, help="finished before this time (UTC)")]
Out = Annotated[str, typer.Option("--out", help="the file, which its owner alone can read; - for standard output")]


@feedback_app.command("export")
def export(
    out: Out,
    since: Since = None,
    until: Until = None,
    department: Annotated[str | None, typer.Option(help="only notes of this department")] = None,
    model_version: Annotated[str | None, typer.Option(help="only notes that this model answered")] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="only notes of which every suggested entity was decided")
    ] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="with notes still in review: to look at, not to train on")
    ] = False,
) -> None:
    """Write finished notes with their masked text and every decision as JSON lines that training reads."""
    with clear_errors(), deployment() as site:
        from tqdm import tqdm

        from gateway.feedback.export import Filters, count_notes, export_examples, to_line

        filters = Filters(_utc(since), _utc(until), department, model_version, unfinished, complete)
        total, notes = count_notes(site.database, filters), 0
        with (
            _output(out) as file,
            closing(export_examples(site.database, site.audit, _actor(), filters)) as examples,
        ):
            for example in tqdm(examples, total=total, unit="note", disable=None):
                file.write(to_line(example) + "\n")
                notes += 1
    typer.echo(f"{notes} notes", err=True)


@feedback_app.command("sample")
def sample(
    out: Out,
    week: Annotated[
        str | None, typer.Option(help="an ISO week such as 2026-W48, Monday to Monday in UTC; default: the last days")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="days back from now, where no week is given; default: 7")
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="notes to draw")] = 200,
    seed: Annotated[str | None, typer.Option(help="default: the ISO week")] = None,
) -> None:
    """Draw answered notes for a review of whole notes, stratified by note type, department and confidence."""
    with clear_errors(), deployment() as site:
        from rich.console import Console

        from gateway.feedback.export import to_line
        from gateway.feedback.sample import DAYS, Plan, draw_sample

        if week is not None and days is not None:
            raise ValueError("give --week or --days, not both")
        plan = (
            Plan.of_week(week, seed=seed, size=size)
            if week is not None
            else Plan.of_last_days(datetime.now(UTC), days=days or DAYS, seed=seed, size=size)
        )
        with _output(out) as file:
            drawn = draw_sample(site.database, site.audit, _actor(), plan)
            file.writelines(to_line(line) + "\n" for line in drawn.lines)
        rows = [
            (each.stratum.note_type, each.stratum.department or "-", each.stratum.band, each.notes, each.sampled)
            for each in drawn.strata
        ]
        table = _table(
            f"sample, seed {plan.seed}", "note type", "department", "confidence", "notes", "sampled", rows=rows
        )
        Console(stderr=out == "-").print(table)
    typer.echo(f"{len(drawn.lines)} of {drawn.notes} notes", err=True)


@feedback_app.command("score")
def score(
    data: Annotated[
        Path | None, typer.Option("--data", help="a file of 'feedback export'; default: the deployment's database")
    ] = None,
    since: Since = None,
    until: Until = None,
    sample: Annotated[
        Path | None, typer.Option("--sample", help="only notes of this file of 'feedback sample'")
    ] = None,
    json_out: Annotated[str | None, typer.Option("--json", help="write the figures to this file; - for stdout")] = None,
) -> None:
    """Score the suggestions against the notes that coders finished, by model version and route."""
    with clear_errors():
        from gateway.feedback.export import Filters
        from gateway.feedback.sample import read_sample
        from gateway.feedback.score import score as figures_of

        filters = Filters(since=_utc(since), until=_utc(until))
        wanted = read_sample(sample) if sample is not None else None
        with closing(_tallies(data, filters.since, filters.until)) as tallies:
            chosen = [each for each in tallies if each.finished_at and (wanted is None or each.note_id in wanted)]
        figures = figures_of(chosen)
        if wanted is not None:
            figures["sample"] = {"notes": len(wanted), "finished": len(chosen)}
        if json_out is not None:
            with _output(json_out) as file:
                file.write(json.dumps(figures, indent=2) + "\n")
        _print_figures(figures, to_stderr=json_out == "-")


def _tallies(data: Path | None, since: datetime | None, until: datetime | None) -> "Generator[Tally, None, None]":
    from tqdm import tqdm

    from gateway.feedback.export import Filters, count_notes, read_examples
    from gateway.feedback.score import read_export, tally

    if data is not None:
        for each in read_export(data):
            at = each.finished_at
            if at is not None and (since is None or at >= since) and (until is None or at < until):
                yield each
        return
    filters = Filters(since, until)
    with deployment() as site, closing(read_examples(site.database, filters)) as examples:
        total = count_notes(site.database, filters)
        yield from (tally(each) for each in tqdm(examples, total=total, unit="note", disable=None))


# -- files --


@contextmanager
def _output(out: str) -> Iterator[TextIO]:
    """A file that appears whole or not at all, and that its owner alone can read."""
    if out == "-":
        yield sys.stdout
        return
    path = Path(out)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


# -- tables --


def _print_figures(figures: Mapping[str, Any], *, to_stderr: bool) -> None:
    from rich.console import Console

    console = Console(stderr=to_stderr)
    if "sample" in figures:
        console.print(
            f"{figures['sample']['finished']} of {figures['sample']['notes']} notes of the sample are finished"
        )
    for name, title in (
        ("entities", "entities, undecided ones taken for right"),
        ("entities_decided", "decided entities"),
    ):
        console.print(_entity_table(title, figures[name]))
    codes = figures["codes"]
    rows = [(level, *_prf(codes[level])) for level in ("code", "category")]
    console.print(_table("codes", "", "precision", "recall", "F1", "95% interval", "n", rows=rows))
    counts = {name: codes["accepted"][name] for name in ("accepted", "replaced", "rejected", "added")}
    shares = [
        ("suggested codes accepted", *_share(codes["accepted"], "share")),
        ("first code right", *_share(codes["top1"])),
        *(
            (f"{name} of decided entities", *_share(each))
            for name, each in figures["entities_decided"]["context"].items()
        ),
    ]
    console.print(_table("shares", "", "share", "95% interval", "n", rows=shares))
    console.print(", ".join(f"{count} codes {name}" for name, count in counts.items()))
    for group in ("by_model_version", "by_route"):
        rows = [
            (name, each["notes"], *(_number(v) for v in _headline(each)), "weak" if each["is_weak"] else "")
            for name, each in figures[group].items()
        ]
        header = ("", "notes", "entities F1", "decided F1", "codes F1", "accepted", "first right", "")
        console.print(_table(group.replace("_", " "), *header, rows=rows))
    if figures["is_weak"]:
        from gateway.feedback.score import ENOUGH_NOTES

        notes = figures["notes"]
        typer.echo(f"weak figures: {notes} finished notes, below {ENOUGH_NOTES} they say little", err=True)


def _headline(figures: Mapping[str, Any]) -> tuple[float | None, ...]:
    codes = figures["codes"]
    entities = (figures[name]["micro"]["f1"] for name in ("entities", "entities_decided"))
    return *entities, codes["code"]["f1"], codes["accepted"]["share"], codes["top1"]["accuracy"]


def _entity_table(title: str, scores: Mapping[str, Any]) -> "Table":
    rows = [(name, *_prf(row)) for name, row in scores["per_type"].items()]
    rows.append(("micro", *_prf(scores["micro"])))
    rows.append(("micro, overlapping", *_prf(scores["relaxed"])))
    return _table(title, "type", "precision", "recall", "F1", "95% interval", "entities", rows=rows)


def _table(title: str, *header: str, rows: Iterable[Iterable[object]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, title=title)
    table.columns[0].overflow = "fold"
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _prf(row: Mapping[str, Any]) -> tuple[str, ...]:
    return *(_number(row[name]) for name in ("precision", "recall", "f1")), _interval(row), str(row.get("n", ""))


def _share(row: Mapping[str, Any], name: str = "accuracy") -> tuple[str, str, str]:
    return _number(row[name]), _interval(row), str(row["n"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(row: Mapping[str, Any]) -> str:
    interval = row.get("interval")
    return f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else ""
