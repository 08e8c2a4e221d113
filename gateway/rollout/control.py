"""Starts, watches and ends a canary or an experiment: evidence → decision → routing file → registry.

One rollout at a time. A command holds a lock beside the routing file from its first look to its last write. The line
of the registry and the new file stand or fall together: the file is put in its place inside of the transaction, as its
last act, and the old one is put back should the commit fail.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.rollout import ab_test, canary
from gateway.rollout.ab_test import AbEvidence, AbPlan
from gateway.rollout.canary import CanaryEvidence, CanaryPlan
from gateway.rollout.decision import Action, Decision
from gateway.rollout.evidence import candidate_of, gather
from gateway.rollout.registry import Kind, Line, Registry, Running
from gateway.rollout.routing_edit import changed_text, locked, replace_text, summary
from gateway.security.permissions import Principal
from gateway.serving.routing import Routing, read_routing
from gateway.storage.audit import Audit
from gateway.storage.database import Database

_LINES = {
    Action.WAIT: "canary_waited",
    Action.PROMOTE: "canary_promoted",
    Action.ROLL_BACK: "canary_rolled_back",
    Action.CONTINUE: "ab_continued",
    Action.ACCEPT: "ab_accepted",
    Action.REJECT: "ab_rejected",
}
_NAMES: Mapping[Kind, str] = {"canary": "canary", "ab": "experiment"}
FOUND_CHANGED = "the routing file was changed by hand: what was gathered says nothing of what is on now"


@dataclass(frozen=True, slots=True)
class Status:
    """``running`` is null where nothing is on; ``decision`` is what a step would decide now, without doing it."""

    routing: dict[str, Any]
    running: Running | None
    decision: Decision | None
    is_as_recorded: bool


class Rollouts:
    """The rollouts of a deployment. ``now`` may be given to look back or ahead; it is the time of the evidence."""

    def __init__(self, database: Database, audit: Audit, routing_file: Path) -> None:
        self._database = database
        self._registry = Registry(audit)
        self._path = routing_file

    def start_canary(
        self, by: Principal | str, target: str, share: float, plan: CanaryPlan, *, now: datetime | None = None
    ) -> None:
        """Raises ValueError: something is on already, or the target is unknown or production's own."""
        self._start(by, "canary", {"target": target, "share": share}, plan.to_dict(), now)

    def start_experiment(
        self, by: Principal | str, name: str, target: str, share: float, plan: AbPlan, *, now: datetime | None = None
    ) -> None:
        """Raises ValueError: as ``start_canary``."""
        self._start(by, "ab", {"name": name, "target": target, "share": share}, plan.to_dict(), now)

    def stop(self, by: Principal | str, kind: Kind, reason: str) -> None:
        """End it by hand, without a decision on evidence; production stays.

        Raises:
            ValueError: none is on, in the registry or in the file, or there is no reason.
        """
        if not reason.strip():
            raise ValueError("a reason must be given")
        name = _NAMES[kind]
        with self._locked() as routing:
            if summary(routing)[name] is None:
                raise ValueError(f"the routing file has no {name}")
            action = "canary_rolled_back" if kind == "canary" else "ab_stopped"
            self._apply(by, action, routing, {name: None}, [reason.strip()])

    def step(self, by: Principal | str, kind: Kind, *, now: datetime | None = None) -> Decision | None:
        """Look, decide, act and record; null where nothing of the kind is on. Twice with the same evidence does nothing
        the second time.

        Raises:
            ValueError: the file has one that was not started here, so that its evidence has no beginning.
        """
        with self._locked() as routing:
            running = self._running(kind)
            if running is None:
                if summary(routing)[_NAMES[kind]] is not None:
                    raise ValueError(
                        f"the routing file's {_NAMES[kind]} was put there by hand: take it out, and start it"
                    )
                return None
            if summary(routing) != running.routing:
                return self._found_changed(by, routing, running)
            decision = self._decide(routing, running, now or datetime.now(UTC))
            if decision.action.is_final or decision.is_look:
                changes = _changes(decision.action, routing)
                details = {name: value for name, value in decision.to_dict().items() if name != "reasons"}
                self._apply(by, _LINES[decision.action], routing, changes, decision.reasons, details)
            return decision

    def status(self, *, now: datetime | None = None) -> Status:
        """What is on and how it stands; nothing is spent, decided or written."""
        routing = read_routing(self._path)
        with self._database.reading() as session:
            running = self._registry.running(session)
        is_as_recorded = running is None or summary(routing) == running.routing
        decision = None
        if running is not None and is_as_recorded:
            decision = self._decide(routing, running, now or datetime.now(UTC))
        return Status(summary(routing), running, decision, is_as_recorded)

    def log(self, *, limit: int | None = None, looks: bool = True) -> list[Line]:
        with self._database.reading() as session:
            return self._registry.lines(session, limit=limit, looks=looks)

    # --- inside of the lock

    @contextmanager
    def _locked(self) -> Iterator[Routing]:
        with locked(self._path):
            yield read_routing(self._path)

    def _running(self, kind: Kind | None = None) -> Running | None:
        with self._database.reading() as session:
            running = self._registry.running(session)
        return running if running is not None and kind in {None, running.kind} else None

    def _start(
        self, by: Principal | str, kind: Kind, values: dict[str, Any], plan: dict[str, Any], now: datetime | None
    ) -> None:
        with self._locked() as routing:
            if routing.canary or routing.experiment:
                raise ValueError("a canary or an experiment is on: it must end before another begins")
            if values["target"] == routing.production:
                raise ValueError(f"'{values['target']}' is in production already")
            if not 0 < values["share"] < 1:
                raise ValueError("the share must lie between 0 and 1")
            if (running := self._running()) is not None:
                self._found_changed(by, routing, running)
            since = (now or datetime.now(UTC)).astimezone(UTC)
            reasons = [f"{values['target']} gets {values['share']:.1%} of the notes"]
            details = {"since": since.isoformat(), "plan": plan}
            self._apply(by, f"{kind}_started", routing, {_NAMES[kind]: values}, reasons, details)

    def _found_changed(self, by: Principal | str, routing: Routing, running: Running) -> Decision:
        """The registry learns what the file says; the file is left alone."""
        with self._database.transaction() as session:
            after = summary(routing)
            self._registry.record(
                session, by, "found_changed", before=running.routing, after=after, reasons=[FOUND_CHANGED]
            )
        action = Action.ROLL_BACK if running.kind == "canary" else Action.REJECT
        return Decision(action, (FOUND_CHANGED,))

    def _apply(
        self,
        by: Principal | str,
        action: str,
        routing: Routing,
        changes: Mapping[str, Any],
        reasons: Sequence[str],
        details: Mapping[str, Any] | None = None,
    ) -> None:
        old = self._path.read_text(encoding="utf-8")
        new = changed_text(self._path, changes) if changes else old
        replaced = False
        try:
            with self._database.transaction() as session:
                before = summary(routing)
                self._registry.record(
                    session, by, action, before=before, after=before | dict(changes), reasons=reasons, details=details
                )
                if changes:
                    replace_text(self._path, new)
                    replaced = True
        except BaseException:
            if replaced:
                replace_text(self._path, old)
            raise

    def _decide(self, routing: Routing, running: Running, now: datetime) -> Decision:
        found = gather(self._database, routing, running.since, now)
        control, candidate = found.arms()
        age = now - running.since
        if running.kind == "canary":
            evidence = CanaryEvidence(age / timedelta(hours=1), control, candidate, running.looked)
            return canary.decide(evidence, CanaryPlan(**running.plan))
        weeks = timedelta(weeks=age // timedelta(weeks=1))
        share = routing.experiment.share if routing.experiment else 0.5
        days = age / timedelta(days=1)
        whole = found.arms(running.since + weeks)
        return ab_test.decide(
            AbEvidence(days, control, candidate, whole, share, running.looked), AbPlan(**running.plan)
        )


def _changes(action: Action, routing: Routing) -> dict[str, Any]:
    """Of the routing file: top-level keys."""
    if not action.is_final:
        return {}
    ended: dict[str, Any] = {"canary": None} if routing.canary else {"experiment": None}
    return {"production": candidate_of(routing), **ended} if action in {Action.PROMOTE, Action.ACCEPT} else ended
