"""``clincode rollout`` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.rollout import rollout_app
from gateway.serving.routing import read_routing
from gateway.settings import Settings
from gateway.storage.database import Database

Run = Callable[..., Result]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


@pytest.fixture
def run(database: Database, settings: Settings, routing_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CLINCODE_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("CLINCODE_SECRET_KEY", settings.secret_key.get_secret_value())
    monkeypatch.setenv("CLINCODE_ROUTING_FILE", str(routing_file))
    monkeypatch.setenv("COLUMNS", "240")
    return lambda *arguments: CliRunner().invoke(rollout_app, list(arguments))


def test_a_canary_from_start_to_rollback(run: Run, routing_file: Path) -> None:
    assert run("canary", "step").stdout == "canary: none is on\n"
    assert "no canary and no experiment" in run("status").stdout
    assert run("canary", "start", "--target", "next").stdout == "canary: next gets 5.0% of the notes\n"
    stepped = run("canary", "step")
    assert (stepped.exit_code, stepped.stdout.splitlines()[0]) == (0, "canary: wait")
    assert "0 of at least 100 reviewed notes" in stepped.stdout
    shown = json.loads(run("status", "--json").stdout)
    assert (shown["kind"], shown["routing"]["canary"], shown["decision"]["action"]) == (
        *("canary", {"target": "next", "share": 0.05}),
        "wait",
    )
    assert "a step now: wait" in run("status").stdout
    assert run("canary", "rollback", "--reason", "coders complain").exit_code == 0
    assert read_routing(routing_file).canary is None
    logged = run("log").stdout
    assert all(word in logged for word in ("canary_started", "canary_rolled_back", "coders complain", "next 5%"))
    lines = json.loads(run("log", "--json", "--limit", "1").stdout)
    assert [line["after"]["reasons"] for line in lines] == [["coders complain"]]


def test_an_experiment_from_start_to_stop(run: Run, routing_file: Path) -> None:
    assert run("ab", "start", "--name", "spring", "--target", "next").exit_code == 0
    assert "experiment: continue" in run("ab", "step").stdout
    assert "in 0 whole weeks" in run("ab", "step").stdout
    assert run("ab", "stop", "--reason", "enough").exit_code == 0
    assert read_routing(routing_file).experiment is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("canary", "start", "--target", "nobody"), "not among the targets"),
        (("canary", "start", "--target", "next", "--longest-days", "200"), "CLINCODE_RETENTION_DAYS (90)"),
        (("canary", "start", "--target", "next", "--hours", "2000"), "no less than the least"),
        (("canary", "rollback", "--reason", "x"), "has no canary"),
        (("ab", "start", "--name", "a", "--target", "next", "--power", "0.2"), "the power between"),
        (("power", "--difference", "0"), "the difference positive"),
        (("simulate", "--only", "spring"), "takes canary or ab"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_routing_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLINCODE_ROUTING_FILE")
    result = run("status")
    assert (result.exit_code, "CLINCODE_ROUTING_FILE is not set" in result.stderr) == (2, True)


def test_power(run: Run) -> None:
    said = run("power", "--sd", "0.12", "--reviewed-per-day", "100").stdout
    assert "566" in said
    assert "5.7" in said
    assert "1837" in said


def test_simulate(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    result = run("simulate", "--seeds", "1", "--only", "canary", "--json", str(out))
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["canary"]["candidates"]["failing"]["actions"] == {"roll_back": 1}
    assert "canary" in result.stdout
