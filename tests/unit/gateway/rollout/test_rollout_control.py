"""From evidence to the routing that gateways read, and the registry of it, on both databases."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rollout_site import BEGAN, MODELS, make_answer

from gateway.rollout import control as module
from gateway.rollout import routing_edit
from gateway.rollout.ab_test import AbPlan
from gateway.rollout.canary import CanaryPlan
from gateway.rollout.control import FOUND_CHANGED, Rollouts
from gateway.rollout.decision import Action
from gateway.serving import routing as serving
from gateway.serving.routing import RoutingFile, read_routing
from gateway.storage.audit import Audit
from gateway.storage.database import Database

At = Callable[[float], datetime]
Add = Callable[..., list[str]]
QUICK = CanaryPlan(least_reviewed=30, longest_hours=48)
AB = AbPlan(least_notes=40, permutations=199)


@pytest.fixture
def live(routing_file: Path, monkeypatch: pytest.MonkeyPatch) -> RoutingFile:
    """As a running gateway reads it."""
    monkeypatch.setattr(serving, "_CHECK_SECONDS", 0.0)
    return RoutingFile(routing_file)


def start(rollouts: Rollouts, plan: CanaryPlan = QUICK) -> None:
    rollouts.start_canary("cli:ops", "next", 0.2, plan, now=BEGAN)


def actions(rollouts: Rollouts, *, looks: bool = True) -> list[str]:
    return [line.action.removeprefix("rollout.") for line in rollouts.log(looks=looks)]


def test_a_better_canary_is_promoted(rollouts: Rollouts, live: RoutingFile, add_notes: Add, at: At) -> None:
    start(rollouts)
    canary = live.current().canary
    assert canary is not None
    assert (canary.target, canary.share) == ("next", 0.2)
    add_notes("stable", 40, hits=8)
    add_notes("next", 40, hits=9)
    early = rollouts.step("cli:timer", "canary", now=at(2))
    assert early is not None
    assert (early.action, live.current().production) == (Action.WAIT, "stable")
    decision = rollouts.step("cli:timer", "canary", now=at(24))
    assert decision is not None
    assert decision.action is Action.PROMOTE
    assert (live.current().production, live.current().canary, live.fault) == ("next", None, None)
    assert actions(rollouts) == ["canary_started", "canary_waited", "canary_promoted"]
    last = rollouts.log()[-1]
    assert last.actor == "cli:timer"
    assert (last.before["routing"]["production"], last.after["routing"]["production"]) == ("stable", "next")
    assert last.after["figures"]["candidate"]["f1"] == pytest.approx(18 / 19, abs=1e-5)
    assert "at least production's" in last.reasons[0]


def test_a_step_twice_does_nothing_the_second_time(
    rollouts: Rollouts, routing_file: Path, add_notes: Add, at: At
) -> None:
    start(rollouts)
    add_notes("stable", 40, hits=8)
    add_notes("next", 20, hits=9)
    for hours in (3, 25):
        first = rollouts.step("t", "canary", now=at(hours))
        state = actions(rollouts), routing_file.read_bytes(), routing_file.stat().st_mtime_ns
        again = rollouts.step("t", "canary", now=at(hours))
        assert first is not None
        assert again is not None
        assert (first.action, first.reasons) == (again.action, again.reasons)
        assert state == (actions(rollouts), routing_file.read_bytes(), routing_file.stat().st_mtime_ns)
    add_notes("next", 20, hits=9)
    assert getattr(rollouts.step("t", "canary", now=at(26)), "action", None) is Action.PROMOTE
    state = actions(rollouts), routing_file.read_bytes()
    assert rollouts.step("t", "canary", now=at(26)) is None
    assert state == (actions(rollouts), routing_file.read_bytes())


def test_a_worse_canary_and_one_without_evidence_are_rolled_back(
    rollouts: Rollouts, live: RoutingFile, add_notes: Add, at: At
) -> None:
    start(rollouts)
    add_notes("stable", 40, hits=8)
    add_notes("next", 40, hits=7)
    decision = rollouts.step("t", "canary", now=at(24))
    assert decision is not None
    assert decision.action is Action.ROLL_BACK
    assert (live.current().production, live.current().canary) == ("stable", None)
    rollouts.start_canary("t", "next", 0.2, QUICK, now=at(30))
    waits = rollouts.step("t", "canary", now=at(60))
    assert waits is not None
    assert waits.action is Action.WAIT
    fails = rollouts.step("t", "canary", now=at(78))
    assert fails is not None
    assert fails.action is Action.ROLL_BACK
    assert "missing evidence after 48 hours" in fails.reasons[0]
    assert live.current().canary is None


def test_a_failing_canary_is_gone_within_the_hour(
    rollouts: Rollouts, live: RoutingFile, add_notes: Add, add_failures: Callable[..., None], at: At
) -> None:
    start(rollouts)
    add_notes("stable", 60, after=timedelta(minutes=20))
    add_failures("next", 12, after=timedelta(minutes=20))
    decision = rollouts.step("t", "canary", now=at(1))
    assert decision is not None
    assert decision.reasons[0].startswith("out of bounds, error rate")
    assert live.current().canary is None


@pytest.mark.parametrize(
    ("hits", "action", "production"),
    [(10, Action.ACCEPT, "next"), (9, Action.REJECT, "stable"), (5, Action.REJECT, "stable")],
)
def test_an_experiment(
    rollouts: Rollouts, live: RoutingFile, add_notes: Add, at: At, hits: int, action: Action, production: str
) -> None:
    rollouts.start_experiment("cli:ops", "spring", "next", 0.5, AB, now=BEGAN)
    experiment = live.current().experiment
    assert experiment is not None
    assert (experiment.name, experiment.target, experiment.share) == ("spring", "next", 0.5)
    add_notes("stable", 50, hits=9)
    add_notes("next", 50, hits=9 if hits == 5 else hits)
    early = rollouts.step("t", "ab", now=at(100))
    assert early is not None
    if hits == 5:  # of the second week: they are looked at, but are in no test yet
        add_notes("next", 50, hits=5, after=timedelta(days=8))
    assert early.action is Action.CONTINUE
    decision = rollouts.step("t", "ab", now=at(24 * 9))
    assert decision is not None
    assert (decision.action, live.current().production, live.current().experiment) == (action, production, None)
    assert actions(rollouts, looks=False) == ["ab_started", f"ab_{action}ed"]


def test_by_hand(rollouts: Rollouts, live: RoutingFile) -> None:
    start(rollouts)
    rollouts.stop("cli:ops", "canary", " coders complain ")
    assert live.current().canary is None
    rollouts.start_experiment("cli:ops", "spring", "next", 0.5, AB, now=BEGAN)
    rollouts.stop("cli:ops", "ab", "no more")
    assert live.current().experiment is None
    assert actions(rollouts) == ["canary_started", "canary_rolled_back", "ab_started", "ab_stopped"]
    assert rollouts.log()[1].reasons == ["coders complain"]
    assert rollouts.step("t", "canary") is rollouts.step("t", "ab") is None


def test_what_cannot_be_done(rollouts: Rollouts, routing_file: Path) -> None:
    before = routing_file.read_bytes()
    for target, share, said in (
        ("stable", 0.1, "in production already"),
        ("nobody", 0.1, "not among the targets"),
        ("next", 0.0, "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=said):
            rollouts.start_canary("t", target, share, QUICK)
    with pytest.raises(ValueError, match="has no canary"):
        rollouts.stop("t", "canary", "why not")
    assert routing_file.read_bytes() == before
    assert actions(rollouts) == []
    start(rollouts)
    with pytest.raises(ValueError, match="a reason"):
        rollouts.stop("t", "canary", " ")
    with pytest.raises(ValueError, match="must end before another"):
        rollouts.start_experiment("t", "spring", "next", 0.5, AB)
    assert actions(rollouts) == ["canary_started"]


def test_a_file_changed_by_hand_ends_it(rollouts: Rollouts, routing_file: Path, at: At) -> None:
    start(rollouts)
    text = routing_file.read_text(encoding="utf-8")
    assert "share: 0.2" in text
    routing_file.write_text(text.replace("share: 0.2", "share: 0.9"), encoding="utf-8")
    assert not rollouts.status().is_as_recorded
    decision = rollouts.step("t", "canary", now=at(24))
    assert decision is not None
    assert (decision.action, decision.reasons) == (Action.ROLL_BACK, (FOUND_CHANGED,))
    assert "share: 0.9" in routing_file.read_text(encoding="utf-8")
    last = rollouts.log()[-1]
    assert (last.action, last.after["routing"]["canary"]["share"]) == ("rollout.found_changed", 0.9)
    with pytest.raises(ValueError, match="by hand"):
        rollouts.step("t", "canary", now=at(24))


def test_the_file_keeps_its_head_its_mode_and_its_link(rollouts: Rollouts, routing_file: Path, tmp_path: Path) -> None:
    real = tmp_path / "etc" / "real.yaml"
    real.parent.mkdir()
    routing_file.rename(real)
    real.write_text(real.read_text(encoding="utf-8").replace("keys/stable", "../keys/stable"), encoding="utf-8")
    routing_file.symlink_to(real)
    start(rollouts)
    assert routing_file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    text = real.read_text(encoding="utf-8")
    assert text.startswith("# Who answers which note.\n# Keys are those of the servers.\n\nproduction: stable\n")
    assert "key_file: ../keys/stable.json" in text
    assert read_routing(real).canary is not None
    assert [each.name for each in real.parent.iterdir()] == ["real.yaml"]


def test_what_a_gateway_would_refuse_is_not_written(routing_file: Path) -> None:
    before = routing_file.read_bytes()
    with pytest.raises(ValueError, match=r"canary\.target"):
        routing_edit.replace_text(routing_file, before.decode() + "canary: {target: nobody, share: 0.1}\n")
    assert routing_file.read_bytes() == before
    assert [each.name for each in routing_file.parent.iterdir() if "routing" in each.name] == ["routing.yaml"]


def test_file_and_line_stand_or_fall_together(
    rollouts: Rollouts, routing_file: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    before = routing_file.read_bytes()

    def fails(path: Path, text: str) -> Any:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_text", fails)
        with pytest.raises(OSError, match="full"):
            start(rollouts)
    assert (actions(rollouts), routing_file.read_bytes()) == ([], before)
    real = routing_edit.replace_text

    def then_the_database_goes(path: Path, text: str) -> Any:
        written = real(path, text)
        if "canary" in text:
            raise_at_commit()
        return written

    def raise_at_commit() -> None:
        from sqlalchemy import event

        @event.listens_for(database.engine, "commit", once=True)
        def _(connection: Any) -> None:
            raise RuntimeError("the database has gone")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_text", then_the_database_goes)
        with pytest.raises(RuntimeError, match="gone"):
            start(rollouts)
    assert (actions(rollouts), routing_file.read_bytes()) == ([], before)


def test_two_at_once_come_one_after_the_other(rollouts: Rollouts, routing_file: Path, add_notes: Add, at: At) -> None:
    start(rollouts)
    add_notes("stable", 40, hits=8)
    add_notes("next", 40, hits=9)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(rollouts.step("t", "canary", now=at(24)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.action for each in found if each is not None] == [Action.PROMOTE]
    assert actions(rollouts, looks=False) == ["canary_started", "canary_promoted"]


def test_a_lock_is_not_waited_for_without_end(routing_file: Path) -> None:
    with routing_edit.locked(routing_file):
        begin = time.monotonic()
        with pytest.raises(ValueError, match="another rollout command"), routing_edit.locked(routing_file, 0.1):
            pass
        assert time.monotonic() - begin < 5


def test_status_spends_and_writes_nothing(rollouts: Rollouts, add_notes: Add, at: At) -> None:
    assert rollouts.status().running is None
    start(rollouts)
    add_notes("next", 40, hits=9)
    add_notes("stable", 40, hits=8)
    status = rollouts.status(now=at(24))
    assert status.decision is not None
    assert status.decision.action is Action.PROMOTE
    assert status.routing["canary"] == {"target": "next", "share": 0.2}
    assert actions(rollouts) == ["canary_started"]


def test_the_registry_is_in_the_chain(
    rollouts: Rollouts, database: Database, audit: Audit, add_notes: Add, at: At
) -> None:
    start(rollouts)
    add_notes("next", 3, hits=9, answer=make_answer())
    rollouts.step("t", "canary", now=at(5))
    rollouts.stop("cli:ops", "canary", "enough")
    with database.reading() as session:
        report = audit.verify(session)
    assert (report.broken_at, report.lines) == (None, 3)
    lines = rollouts.log(limit=2)
    assert [line.number for line in lines] == [2, 3]
    said = json.dumps([line.to_dict() for line in rollouts.log()])
    assert MODELS["next"] not in said
    assert "8080" not in said
