"""The runner: what is kept, what runs again, where it stops, and that two runs do not meet in one folder."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from training.pipeline.runner import Outcome, Result, Step, run_steps, step_table
from training.pipeline.state import RunError, RunState, Status, digest_of, locked, read_state


class World:
    """Three steps, each of which adds its letter to what the step before wrote; ``source`` is what they begin with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = "x"
        self.ran: list[str] = []
        self.passes = True
        self.breaks: Exception | None = None

    def steps(self) -> list[Step]:
        def step(name: str, before: str | None) -> Step:
            def execute() -> Outcome:
                self.ran.append(name)
                if name == "b" and self.breaks is not None:
                    raise self.breaks
                text = (self.folder / before).read_text() if before else self.source
                (self.folder / name).write_text(text + name)
                return Outcome([self.folder / name], f"wrote {name}", passed=self.passes or name != "b")

            def inputs() -> dict[str, str]:
                return {"before": digest_of(self.folder / before) if before else self.source}

            return Step(name, inputs, execute)

        return [step("a", None), step("b", "a"), step("c", "b")]

    def run(self, until: str | None = None) -> Result:
        self.ran = []
        return run_steps(self.steps(), RunState.load(self.folder, "test"), self.folder, until=until)

    def statuses(self) -> dict[str, str]:
        return {name: step.status.value for name, step in read_state(self.folder).steps.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_steps_run_in_order_and_are_kept_afterwards(world: World) -> None:
    result = world.run()
    assert (world.ran, result.kept, result.verdict) == (["a", "b", "c"], frozenset(), Status.DONE)
    assert (world.folder / "c").read_text() == "xabc"
    result = world.run()
    assert (world.ran, result.kept, result.verdict) == ([], frozenset("abc"), Status.DONE)
    assert [step.attempts for step in result.state.steps.values()] == [1, 1, 1]


def test_until_ends_after_its_step_and_the_rest_follows_later(world: World) -> None:
    world.run(until="b")
    assert world.ran == ["a", "b"]
    result = world.run()
    assert (world.ran, result.kept) == (["c"], frozenset("ab"))


def test_other_inputs_run_a_step_and_all_that_stand_on_it_again(world: World) -> None:
    world.run()
    world.source = "y"
    world.run()
    assert world.ran == ["a", "b", "c"]
    assert (world.folder / "c").read_text() == "yabc"


def change_output(folder: Path) -> None:
    (folder / "b").write_text("tampered")


def lose_output(folder: Path) -> None:
    (folder / "b").unlink()


@pytest.mark.parametrize("damage", [change_output, lose_output])
def test_an_output_that_is_not_what_the_step_wrote_is_made_again(world: World, damage: Callable[[Path], None]) -> None:
    world.run()
    damage(world.folder)
    result = world.run()
    assert world.ran == ["b"]  # which gives what it gave, so that c still stands
    assert result.kept == frozenset("ac")
    assert (world.folder / "b").read_text() == "xab"


def test_a_verdict_stops_the_run_and_what_was_done_before_counts_no_more(world: World) -> None:
    world.run()
    world.source, world.passes = "y", False
    result = world.run()
    assert (world.ran, result.verdict) == (["a", "b"], Status.STOPPED)
    assert world.statuses() == {"a": "done", "b": "stopped", "c": "stale"}
    assert world.run().verdict is Status.STOPPED
    assert world.ran == ["b"]  # asked again, for what is no
    world.passes = True
    assert world.run().verdict is Status.DONE
    assert world.ran == ["b", "c"]


def test_a_step_that_breaks_leaves_its_reason_and_is_tried_again(world: World) -> None:
    world.breaks = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        world.run()
    step = read_state(world.folder).steps["b"]
    assert (step.status, step.message, step.attempts) == (Status.FAILED, "OSError: disk full", 1)
    world.breaks = None
    assert world.run().verdict is Status.DONE
    assert world.ran == ["b", "c"]
    assert read_state(world.folder).steps["b"].attempts == 2


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED, Status.STOPPED, Status.PENDING])
def test_only_what_is_done_is_kept(world: World, status: Status) -> None:
    world.run()
    state = read_state(world.folder)
    state.steps["b"].status = status
    state.save(world.folder)
    world.run()
    assert world.ran == ["b"]


def test_the_table_names_every_step(world: World) -> None:
    table = step_table(["a", "b", "c", "d"], world.run(), title="t")
    assert table.row_count == 4


def test_a_folder_of_another_pipeline_is_refused(world: World) -> None:
    world.run()
    RunState("test").save(world.folder)
    with pytest.raises(RunError, match="a run of 'test', not of 'other'"):
        RunState.load(world.folder, "other")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "steps": {"a": {"status": "odd"}}}'])
def test_a_state_that_cannot_be_read_is_an_error_and_no_new_beginning(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        RunState.load(tmp_path, "test")


def test_a_state_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    state = RunState("test", {"version": "v"}, [{"at": "now", "trigger": "drift", "reason": "PSI 0.3"}])
    state.step("a").inputs["x"] = "1"
    state.save(tmp_path)
    assert read_state(tmp_path) == state
    assert json.loads((tmp_path / "state.json").read_text())["starts"][0]["trigger"] == "drift"


HOLDER = """
import sys, time
from pathlib import Path
from training.pipeline.state import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_let_in_when_the_first_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=rf"a run is at work in it \(process {holder.pid}\)"), locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        pass


def test_the_digest_of_a_folder_is_that_of_its_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = digest_of(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert digest_of(tmp_path) != first
    assert digest_of(tmp_path / "nothing") == "absent"
