"""``clincode rollout``: a model earns its way into production, by canary and A/B experiment."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.gateway import _actor, clear_errors, deployment

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.rollout.control import Rollouts
    from gateway.rollout.decision import Decision

rollout_app = typer.Typer(help="Bring a model into production on evidence.", no_args_is_help=True)
canary_app = typer.Typer(help="A small share of the notes, to see that nothing gets worse.", no_args_is_help=True)
ab_app = typer.Typer(help="An experiment of two variants, to see that something gets better.", no_args_is_help=True)
rollout_app.add_typer(canary_app, name="canary")
rollout_app.add_typer(ab_app, name="ab")

Target = Annotated[str, typer.Option(help="a target of the routing file, which is not in production")]
Reason = Annotated[str, typer.Option(help="why; it stands in the registry")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


@canary_app.command("start")
def start_canary(
    target: Target,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="of the notes")] = 0.05,
    hours: Annotated[float, typer.Option(help="before which nothing is promoted")] = 24.0,
    longest_days: Annotated[float, typer.Option(help="after which missing evidence is a failure")] = 28.0,
    margin: Annotated[float, typer.Option(help="difference of F1 that must be told apart from none")] = 0.02,
    limit: Annotated[float, typer.Option(help="relative change that a guardrail lets pass")] = 0.25,
) -> None:
    """Give a target its share; 'canary step' watches it from now on."""
    with clear_errors(), _rollouts(keeps_days=longest_days) as rollouts:
        from gateway.rollout.canary import CanaryPlan

        plan = CanaryPlan(least_hours=hours, longest_hours=24 * longest_days, margin=margin, limit=limit)
        rollouts.start_canary(_actor(), target, share, plan)
    typer.echo(f"canary: {target} gets {share:.1%} of the notes")


@canary_app.command("step")
def step_canary() -> None:
    """Look at the evidence, and promote or roll back where it says so; for a timer, such as every hour."""
    with clear_errors(), _rollouts() as rollouts:
        _print_decision("canary", rollouts.step(_actor(), "canary"))


@canary_app.command("rollback")
def roll_back(reason: Reason) -> None:
    """Take the canary out at once."""
    with clear_errors(), _rollouts() as rollouts:
        rollouts.stop(_actor(), "canary", reason)
    typer.echo("canary: rolled back")


@ab_app.command("start")
def start_ab(
    name: Annotated[str, typer.Option(help="of the experiment; another name shuffles the notes anew")],
    target: Target,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="of the notes")] = 0.5,
    difference: Annotated[float, typer.Option(help="of F1, that is to be found")] = 0.02,
    power: Annotated[float, typer.Option(help="with which it is found")] = 0.999,
    longest_weeks: Annotated[int, typer.Option(help="after which missing evidence is a failure")] = 8,
    limit: Annotated[float, typer.Option(help="relative change that a guardrail lets pass")] = 0.1,
) -> None:
    """Begin an experiment; 'ab step' watches it from now on."""
    with clear_errors(), _rollouts(keeps_days=7 * longest_weeks) as rollouts:
        from gateway.rollout.ab_test import AbPlan

        plan = AbPlan(difference=difference, power=power, longest_weeks=longest_weeks, limit=limit)
        rollouts.start_experiment(_actor(), name, target, share, plan)
    typer.echo(f"experiment {name}: {target} gets {share:.1%} of the notes")


@ab_app.command("step")
def step_ab() -> None:
    """Look at the evidence, and accept or reject where it says so; for a timer, such as every hour."""
    with clear_errors(), _rollouts() as rollouts:
        _print_decision("experiment", rollouts.step(_actor(), "ab"))


@ab_app.command("stop")
def stop_ab(reason: Reason) -> None:
    """End the experiment at once; production stays as it is."""
    with clear_errors(), _rollouts() as rollouts:
        rollouts.stop(_actor(), "ab", reason)
    typer.echo("experiment: stopped")


@rollout_app.command("status")
def status(as_json: AsJson = False) -> None:
    """What is on and how it stands; nothing is decided."""
    with clear_errors(), _rollouts() as rollouts:
        found = rollouts.status()
    running, decision = found.running, found.decision
    if as_json:
        body = {
            "routing": found.routing,
            "kind": running.kind if running else None,
            "since": running.since.isoformat() if running else None,
            "plan": running.plan if running else None,
            "is_as_recorded": found.is_as_recorded,
            "decision": decision.to_dict() if decision else None,
        }
        typer.echo(json.dumps(body, indent=2))
        return
    typer.echo(f"production: {found.routing['production']}")
    if running is None:
        typer.echo("no canary and no experiment is on")
        return
    name = "canary" if running.kind == "canary" else "experiment"
    typer.echo(f"{name}: {found.routing[name]} since {running.since:%Y-%m-%d %H:%M} UTC")
    if not found.is_as_recorded:
        typer.echo("the routing file was changed by hand since: the next step ends it", err=True)
    if decision is not None:
        _print_decision(f"{name}, a step now", decision)
        _print_arms(decision.figures)


@rollout_app.command("log")
def log(
    limit: Annotated[int, typer.Option(min=1, help="lines at most, the newest")] = 50,
    looks: Annotated[bool, typer.Option("--looks", help="with looks after which all stayed as it was")] = False,
    as_json: AsJson = False,
) -> None:
    """The registry: every decision with its reasons, its figures and the routing before and after."""
    with clear_errors(), _rollouts() as rollouts:
        lines = rollouts.log(limit=limit, looks=looks)
    if as_json:
        typer.echo(json.dumps([line.to_dict() for line in lines], indent=2))
        return
    rows = [
        (
            line.number,
            line.at[:19],
            line.actor,
            line.action.removeprefix("rollout."),
            _routing(line.before.get("routing", {})),
            _routing(line.after.get("routing", {})),
            "; ".join(line.reasons),
        )
        for line in lines
    ]
    _show(_table("rollouts", "", "at", "who", "did", "before", "after", "reasons", rows=rows))


@rollout_app.command("power")
def power(
    difference: Annotated[float, typer.Option(help="of F1, that is to be found")] = 0.02,
    sd: Annotated[float, typer.Option(help="of a note's part in the F1, as 'status' and the docs have it")] = 0.12,
    alpha: Annotated[float, typer.Option(help="of the two-sided test")] = 0.05,
    reviewed_per_day: Annotated[
        float | None, typer.Option(help="notes of each variant that are reviewed whole in a day: the days are said too")
    ] = None,
) -> None:
    """Reviewed notes that each variant needs."""
    with clear_errors():
        from gateway.rollout.measures import sample_size

        rows = []
        for wanted in (0.8, 0.9, 0.95, 0.99, 0.999):
            n = sample_size(sd, difference, alpha=alpha, power=wanted)
            days = (f"{n / reviewed_per_day:.1f}",) if reviewed_per_day else ()
            rows.append((f"{wanted:.1%}", n, *days))
    title = f"{100 * difference:g} points of F1, sd {sd:g}, two-sided alpha {alpha:g}"
    _show(_table(title, "power", "notes of each variant", *(("days",) if reviewed_per_day else ()), rows=rows))


@rollout_app.command("simulate")
def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="runs of each kind of candidate")] = 100,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="draw them to this file (PNG, SVG or PDF)")] = None,
    only: Annotated[str | None, typer.Option(help="canary or ab; default: both")] = None,
) -> None:
    """Let the rules decide on better, equal, worse and faulty models in a hospital that is made up."""
    with clear_errors():
        from cli.rollout_simulation import draw, print_figures, simulated

        if only not in {None, "canary", "ab"}:
            raise ValueError("--only takes canary or ab")
        figures = simulated(seeds, only)
        print_figures(figures)
        if json_out is not None:
            json_out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if figure is not None:
            draw(figures, figure)


@contextmanager
def _rollouts(*, keeps_days: float = 0.0) -> "Iterator[Rollouts]":
    """Of the deployment; its notes must be kept for so many days.

    Raises:
        ValueError: it has no routing file, or deletes notes earlier.
    """
    with deployment() as site:
        from gateway.rollout.control import Rollouts

        settings = site.settings
        if settings.routing_file is None:
            raise ValueError("CLINCODE_ROUTING_FILE is not set: there is nothing to roll out with")
        if settings.retention_days <= keeps_days:
            raise ValueError(
                f"notes are deleted after CLINCODE_RETENTION_DAYS ({settings.retention_days}), before the evidence is "
                f"gathered ({keeps_days:g} days)"
            )
        yield Rollouts(site.database, site.audit, settings.routing_file)


def _print_decision(name: str, decision: "Decision | None") -> None:
    if decision is None:
        typer.echo(f"{name}: none is on")
        return
    typer.echo(f"{name}: {decision.action.replace('_', ' ')}")
    for reason in decision.reasons:
        typer.echo(f"  {reason}")


def _print_arms(figures: Mapping[str, Any]) -> None:
    names = ("notes", "failed", "finished", "reviewed", "f1", "p95_ms", "mean_confidence")
    rows = [(name, figures["control"][name], figures["candidate"][name]) for name in names]
    _show(_table("evidence", "", "production", "candidate", rows=rows))


def _routing(routing: Mapping[str, Any]) -> str:
    said = str(routing.get("production", "?"))
    for name in ("canary", "experiment"):
        if part := routing.get(name):
            said += f", {part['target']} {part['share']:.0%}"
    return said


def _show(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _table(title: str, *header: str, rows: Iterable[Iterable[object]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    return table
