"""The retraining pipeline's last step in a deployment: the canary is begun with its record, as if by hand."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.pipeline import _start_canary
from cli.rollout import rollout_app
from gateway.serving.routing import read_routing
from gateway.settings import Settings
from gateway.storage.database import Database


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


@pytest.fixture(autouse=True)
def _deployment(database: Database, settings: Settings, routing_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("CLINCODE_SECRET_KEY", settings.secret_key.get_secret_value())
    monkeypatch.setenv("CLINCODE_ROUTING_FILE", str(routing_file))
    monkeypatch.setenv("COLUMNS", "240")


def test_the_canary_is_on_and_on_record(routing_file: Path) -> None:
    assert _start_canary("next", 0.05).startswith("5% of the notes to next, recorded")
    canary = read_routing(routing_file).canary
    assert canary is not None
    assert (canary.target, canary.share) == ("next", 0.05)
    stepped = CliRunner().invoke(rollout_app, ["canary", "step"])
    assert stepped.stdout.startswith("canary: wait")  # watched, and not taken for one that was put there by hand
    assert "canary_started" in CliRunner().invoke(rollout_app, ["log"]).stdout


def test_a_second_one_is_refused(routing_file: Path) -> None:
    _start_canary("next", 0.05)
    before = routing_file.read_bytes()
    with pytest.raises(ValueError, match="must end before another begins"):
        _start_canary("next", 0.1)
    assert routing_file.read_bytes() == before
