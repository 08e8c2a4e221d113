"""docs/gateway.md and config/routing.example.yaml, held against the code."""

import inspect
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from gateway.app import create_app
from gateway.metrics import Metrics
from gateway.security.access import permissions_of
from gateway.serving.routing import Experiment, read_routing
from gateway.serving.torchserve import TorchServe
from gateway.serving.webhooks import signature
from gateway.settings import Settings


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "gateway.md").read_text(encoding="utf-8")


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return create_app(Settings(secret_key="s" * 40, database_url=f"sqlite:///{tmp_path}/x.db"))  # type: ignore[arg-type]


def rows(page: str, head: str) -> Iterator[list[str]]:
    """The cells of the lines of the table under a heading of these words."""
    table = page.split(f"\n{head}\n", 1)[1].split("|---", 1)[1]
    for line in table.splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_setting_is_on_the_page_with_its_default(page: str) -> None:
    told = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(page, "| variable | default | |")}
    assert told.keys() == {f"CLINCODE_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default, said = field.default, told[f"CLINCODE_{name.upper()}"]
        if default is PydanticUndefined:
            assert "required" in said
        elif default is None:
            assert said == ""
        else:
            value = default.get_secret_value() if isinstance(default, SecretStr) else default
            known = {True: "true", False: "false", (): "[]"} if isinstance(value, bool | tuple) else {}
            assert said == known.get(value, f"{value:g}" if isinstance(value, float) else str(value)), name


def test_every_route_is_on_the_page_with_its_permission(page: str, app: Any) -> None:
    told: dict[str, str] = {}
    for cells in rows(page, "| route | permission | what |"):
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells[1].strip("`"))
    found = {
        (path if method == "*" else f"{method} {path}"): (needed.value if needed else "none")
        for method, path, needed in permissions_of(app)
    }
    assert told == found


def test_every_metric_is_on_the_page(page: str) -> None:
    told = {cells[0].strip("`").removesuffix("_total") for cells in rows(page, "| metric | labels | |")}
    assert told == {family.name for family in Metrics().registry.collect()}


def test_the_example_verifies_a_webhook(page: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    key, body, now = bytes(range(32)), b'{"state": "done"}', int(time.time())
    is_genuine = names["is_genuine"]
    assert is_genuine(signature(key, body, now), body, key.hex())
    assert not is_genuine(signature(key, body, now), body + b" ", key.hex())
    assert not is_genuine(signature(key, body, now - 900), body, key.hex())
    assert not is_genuine(signature(key[::-1], body, now), body, key.hex())


def test_links_lead_somewhere(page: str, root: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page):
        assert (root / "docs" / target).exists(), target


def test_the_example_of_a_routing_file_is_one(root: Path, tmp_path: Path) -> None:
    text = (root / "config" / "routing.example.yaml").read_text(encoding="utf-8")
    path = tmp_path / "routing.yaml"
    path.write_text(text, encoding="utf-8")
    routing = read_routing(path)
    assert routing.canary is not None
    assert routing.experiment is None
    # What is commented out fits too.
    whole = re.sub(r"^# (experiment:|  )", r"\1", text, flags=re.MULTILINE)
    path.write_text(whole, encoding="utf-8")
    assert read_routing(path).experiment == Experiment(name="spring", target="next", share=0.5)


def test_a_try_outlasts_the_client_and_the_client_torchserves_worker(root: Path) -> None:
    """Else a note on which the model hangs would be taken for one that had to wait, and never be given up."""
    config = yaml.safe_load((root / "config" / "model-config.yaml").read_text(encoding="utf-8"))
    client = inspect.signature(TorchServe).parameters["timeout_seconds"].default
    assert config["responseTimeout"] <= client < Settings.model_fields["job_timeout_seconds"].default
