"""``clincode pipeline``: a new model from new data, step by step, and what a run has come to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from training.pipeline.state import Trigger

pipeline_app = typer.Typer(
    help="Retrain: validation, training, gates, bias audit, release, canary.", no_args_is_help=True
)

STOPPED, UNUSABLE, FAILED = 1, 2, 3
"""Exit codes: a validation or a gate said no; the command cannot be carried out as given; a step broke down."""

Out = Annotated[Path | None, typer.Option("--out", help="the run's folder; default: runs/pipeline/<name>")]


@pipeline_app.command("run")
def run(
    config: Annotated[Path, typer.Option("--config", help="the pipeline's YAML")],
    out: Out = None,
    trigger: Annotated[Trigger, typer.Option(help="what began it: recorded with the run")] = Trigger.HAND,
    reason: Annotated[str, typer.Option(help="why now, e.g. the drift alert; recorded")] = "",
    until: Annotated[str | None, typer.Option(help="the last step to run")] = None,
    deployment: Annotated[
        bool,
        typer.Option("--deployment", help="start the canary in the deployment that CLINCODE_… names, with its record"),
    ] = False,
) -> None:
    """Run a pipeline, or go on with one that was cut off: the same command resumes.

    Exit code 1: stopped by validation or gates; 2: not usable as given; 3: a step failed.
    """
    with _clear_errors():
        _need_packages()
        from rich.console import Console

        from training.pipeline.run import STEPS, run_pipeline, verdict_rows
        from training.pipeline.runner import step_table
        from training.pipeline.settings import load_pipeline_config
        from training.pipeline.state import Status, read_state
        from training.run_config import ConfigError

        pipeline = load_pipeline_config(config)
        folder = out or Path("runs") / "pipeline" / pipeline.name
        if until is not None and until not in STEPS:
            raise ConfigError(f"--until must be one of {', '.join(STEPS)}")
        if deployment and pipeline.canary.routing is None:
            raise ConfigError("--deployment needs canary.routing: the file that CLINCODE_ROUTING_FILE names")
        start = _start_canary if deployment else None
    console = Console()
    try:
        with _clear_errors():
            result = run_pipeline(pipeline, folder, trigger=trigger, reason=reason, until=until, start_canary=start)
    except typer.Exit:
        raise
    except Exception as error:
        from training.pipeline.runner import Result

        console.print(step_table(STEPS, Result(read_state(folder)), title=f"{pipeline.name}: failed"))
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(FAILED) from error
    if rows := verdict_rows(folder):
        _print_verdicts(rows)
    console.print(step_table(STEPS, result, title=f"{pipeline.name}: {result.verdict}"))
    report = folder / "report.html"
    if report.exists():
        typer.echo(f"report: {report}", err=True)
    raise typer.Exit(0 if result.verdict is Status.DONE else STOPPED)


@pipeline_app.command("status")
def status(folder: Annotated[Path, typer.Argument(help="a run's folder")]) -> None:
    """What a run has done, what started it, and how its gates stand."""
    with _clear_errors():
        from rich.console import Console

        from training.pipeline.run import STEPS, verdict_rows
        from training.pipeline.runner import Result, step_table
        from training.pipeline.state import read_state

        state = read_state(folder)
        if rows := verdict_rows(folder):
            _print_verdicts(rows)
        Console().print(step_table(STEPS, Result(state), title=state.name))
        for start in state.starts:
            typer.echo(f"started {start['at']} by {start['trigger']} {start['reason']}".rstrip())


@pipeline_app.command("judge")
def judge_figures(
    evidence: Annotated[Path, typer.Option("--evidence", help="JSON of figures by gate, or an evaluation.json")],
    gates: Annotated[Path, typer.Option("--gates", help="YAML with the limits")] = Path("config/gates.yaml"),
) -> None:
    """Judge figures by gates, without running anything."""
    with _clear_errors():
        from dataclasses import asdict

        from training.pipeline.gates import judge, read_gates

        figures = json.loads(evidence.read_text(encoding="utf-8"))
        if not isinstance(figures, dict):
            raise ValueError(f"{evidence}: not a JSON object")
        verdicts = judge(read_gates(gates), figures.get("evidence", figures))
        _print_verdicts([asdict(row) for row in verdicts.rows])
    raise typer.Exit(0 if verdicts.passed else STOPPED)


def _need_packages() -> None:
    """Now, and not when the training is over."""
    from importlib.util import find_spec

    from training.run_config import ConfigError

    missing = [name for name in ("nervaluate", "yaml", "jinja2", "matplotlib", "structlog") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the pipeline needs {', '.join(missing)}: pip install 'clincode[training,reports,gateway]'")


def _print_verdicts(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from training.pipeline.gates import FAILED as NOT_HELD
    from training.pipeline.gates import Verdict

    table = Table("gate", "value", "limit", "verdict", "", title="gates")
    for row in rows:
        verdict = Verdict(**row)  # type: ignore[arg-type]
        colour = "red" if verdict.verdict == NOT_HELD else None
        table.add_row(
            verdict.gate, verdict.shown_value, verdict.shown_limit, verdict.verdict, verdict.note, style=colour
        )
    Console().print(table)


def _start_canary(target: str, share: float) -> str:
    """As ``clincode rollout canary start`` does, with the deployment's database and audit chain."""
    from cli.gateway import _actor
    from cli.rollout import _rollouts
    from gateway.rollout.canary import CanaryPlan

    plan = CanaryPlan()
    with _rollouts(keeps_days=plan.longest_hours / 24) as rollouts:
        rollouts.start_canary(_actor(), target, share, plan)
    return f"{share:.0%} of the notes to {target}, recorded: 'clincode rollout canary step' watches it"


@contextmanager
def _clear_errors() -> Iterator[None]:
    """One line for what a user can mend."""
    from training.pipeline.gates import GateError
    from training.pipeline.state import RunError
    from training.run_config import ConfigError

    try:
        yield
    except (ConfigError, GateError, RunError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
