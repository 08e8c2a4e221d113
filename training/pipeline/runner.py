"""Runs steps in their order: keeps what is done and unchanged, goes on where a killed run was, stops at a verdict."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.pipeline.state import RunState, Status, StepState, digest_of, digests, now

_COLOURS = {Status.DONE: "green", Status.STOPPED: "red", Status.FAILED: "red", Status.RUNNING: "yellow"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step wrote, whether the run may go on, and one line on it."""

    outputs: Sequence[Path]
    message: str
    passed: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """``inputs`` gives the digests of everything that the step reads, and is asked only when the steps before are done.

    ``execute`` must be able to begin again where a killed one left off.
    """

    name: str
    inputs: Callable[[], dict[str, str]]
    execute: Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Result:
    """``kept``: steps that had nothing to do."""

    state: RunState
    kept: frozenset[str] = field(default_factory=frozenset)

    @property
    def verdict(self) -> Status:
        """``done`` where all that was asked for is; else the status of the step that ended the run."""
        for step in self.state.steps.values():
            if step.status in (Status.STOPPED, Status.FAILED):
                return step.status
        return Status.DONE


def run_steps(steps: Sequence[Step], state: RunState, folder: Path, *, until: str | None = None) -> Result:
    """Run each step that is not done with the inputs that it has now; after ``until`` no further.

    A step that fails leaves its error's kind and message in the state and raises it again. What comes after a step that
    ran again is looked at again: it is kept where its inputs are still the same.
    """
    kept = set()
    for step in steps:
        record = state.step(step.name)
        inputs = step.inputs()
        if _is_kept(record, inputs, folder):
            kept.add(step.name)
            record.status = Status.DONE
        else:
            _doubt(state, [later.name for later in steps[steps.index(step) + 1 :]])
            _execute(step, record, inputs, state, folder)
            if record.status is not Status.DONE:
                break
        if step.name == until:
            break
    state.save(folder)
    return Result(state, frozenset(kept))


def step_table(names: Sequence[str], result: Result, *, title: str) -> Table:
    """All steps, what became of them, how long they took and what they say."""
    table = Table("step", "status", "seconds", "tries", "", title=title)
    for name in names:
        step = result.state.steps.get(name, StepState())
        status = "kept" if name in result.kept else str(step.status)
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        table.add_row(name, status, seconds, str(step.attempts or ""), step.message, style=_COLOURS.get(step.status))
    return table


def _is_kept(record: StepState, inputs: dict[str, str], folder: Path) -> bool:
    return (
        record.status in (Status.DONE, Status.STALE)
        and record.inputs == inputs
        and all(digest_of(folder / name) == digest for name, digest in record.outputs.items())
    )


def _doubt(state: RunState, names: Sequence[str]) -> None:
    """A step runs again: of those after it, what was done is stale, and where an earlier start ended is open again."""
    for name in names:
        record = state.step(name)
        if record.status in (Status.DONE, Status.STALE):
            record.status = Status.STALE
        else:
            record.status, record.message, record.seconds = Status.PENDING, "", None


def _execute(step: Step, record: StepState, inputs: dict[str, str], state: RunState, folder: Path) -> None:
    Console(stderr=True).rule(f"[bold]{step.name}", align="left")
    record.status, record.inputs, record.outputs = Status.RUNNING, inputs, {}
    record.started, record.seconds, record.message = now(), None, ""
    record.attempts += 1
    state.save(folder)
    begin = time.monotonic()
    try:
        outcome = step.execute()
    except BaseException as error:
        record.status = Status.FAILED
        record.message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        record.seconds = round(time.monotonic() - begin, 1)
        state.save(folder)
        raise
    record.status = Status.DONE if outcome.passed else Status.STOPPED
    record.outputs = digests(outcome.outputs, folder)
    record.message = outcome.message
    record.seconds = round(time.monotonic() - begin, 1)
    state.save(folder)
