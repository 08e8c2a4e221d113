"""The steps in their order, and the one function that runs them."""

import json
from collections.abc import Sequence
from pathlib import Path

from training.pipeline.context import Run, StartCanary
from training.pipeline.gates import read_gates
from training.pipeline.judging import bias_step, evaluation_step, gates_step
from training.pipeline.learning import training_step, validation_step
from training.pipeline.releasing import canary_step, packaging_step, staging_step
from training.pipeline.runner import Result, Step, run_steps
from training.pipeline.settings import PipelineConfig
from training.pipeline.state import RunState, Trigger, locked, now

STEPS = ("validation", "training", "evaluation", "gates", "bias audit", "packaging", "staging", "canary")


def run_pipeline(
    config: PipelineConfig,
    folder: Path,
    *,
    trigger: Trigger = Trigger.HAND,
    reason: str = "",
    until: str | None = None,
    start_canary: StartCanary | None = None,
) -> Result:
    """Run, or go on with, the pipeline in ``folder``. The same command resumes.

    Raises:
        RunError: another process is at work in the folder, or it is another pipeline's.
        GateError: the gates' file does not fit; nothing was run.
        Exception: whatever a step failed of; the state has it.
    """
    if until is not None and until not in STEPS:
        raise ValueError(f"no step '{until}'; they are {', '.join(STEPS)}")
    read_gates(config.gates)  # before hours of training, not after
    with locked(folder):
        state = RunState.load(folder, config.name)
        state.starts.append({"at": now(), "trigger": str(trigger), "reason": reason})
        state.save(folder)
        run = Run(config, folder, state, start_canary)
        run.settle()
        (folder / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return run_steps(steps_of(run), state, folder, until=until)


def steps_of(run: Run) -> Sequence[Step]:
    return (
        validation_step(run),
        training_step(run),
        evaluation_step(run),
        gates_step(run),
        bias_step(run),
        packaging_step(run),
        staging_step(run),
        canary_step(run),
    )


def verdict_rows(folder: Path) -> list[dict[str, object]]:
    """The rows of all gates that a run in this folder was judged by."""
    files = (folder / "evaluation" / "gates.json", folder / "bias" / "gates.json")
    return [row for file in files if file.exists() for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
