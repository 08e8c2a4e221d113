"""The import rules of the design, read from the source text: nothing is imported here."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "handler" / "clincode"
HANDLER = ROOT / "handler" / "clincode_handler.py"

GLUE = {"pipeline", "response", "request"}
# What every module may import, and what may import nothing of the core but labels.
FOUNDATION = {"types", "errors", "config", "labels"}
# Modules that only hold static tables, and that stages may therefore look things up in.
LOOKUPS: set[str] = set()


def imports(path: Path) -> Iterator[str]:
    """Full dotted names of everything that a module imports, inside functions too."""
    package = path.relative_to(ROOT / "handler").parent.parts if path.is_relative_to(CORE) else ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def stage(path: Path) -> str:
    """``icd`` for a module of clincode/icd/, else the module's name."""
    parts = path.relative_to(CORE).parts
    return parts[0] if len(parts) > 1 else path.stem


def internal(path: Path) -> set[str]:
    """Modules or packages of the core, as directly under clincode, that a module imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("clincode.") and name.count(".") >= 1}


def top_level(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


MODULES = sorted(path for path in CORE.rglob("*.py"))
IDS = [str(path.relative_to(CORE)) for path in MODULES]
STAGES = [path for path in MODULES if stage(path) not in FOUNDATION | GLUE | {"__init__"}]


def test_there_is_something_to_check() -> None:
    assert {"types", "errors", "config", "labels", "pipeline"} <= {path.stem for path in MODULES}
    assert STAGES
    assert {"labels"} <= internal(CORE / "types.py")


@pytest.mark.parametrize("name", ["types", "errors", "labels"])
def test_foundation_stands_on_labels_alone(name: str) -> None:
    assert internal(CORE / f"{name}.py") <= {"labels"} - {name}


@pytest.mark.parametrize("path", STAGES, ids=[str(path.relative_to(CORE)) for path in STAGES])
def test_stage_imports_no_other_stage(path: Path) -> None:
    assert internal(path) <= FOUNDATION | LOOKUPS | {stage(path)}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_only_the_pipeline_imports_stages(path: Path) -> None:
    if path.stem == "pipeline":
        return
    assert internal(path) & {stage(other) for other in STAGES} <= LOOKUPS | {stage(path)}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_only_the_model_imports_torch(path: Path) -> None:
    if path.stem != "model":
        assert not top_level(path) & {"torch", "transformers"}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_core_knows_no_server_and_no_training(path: Path) -> None:
    ours = {"training", "cli", "gateway", "monitoring", "clincode_handler"}
    servers = {"ts", "fastapi", "starlette", "uvicorn", "mlflow"}
    assert not top_level(path) & (ours | servers)


@pytest.mark.parametrize("package", ["gateway", "monitoring"])
def test_services_do_not_import_torch(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not top_level(path) & {"torch", "transformers", "training"}, path


def test_handler_is_thin_and_has_one_class() -> None:
    """TorchServe takes the one class that the module defines, and fails where there are two."""
    source = HANDLER.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 120
    assert [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)] == ["ClincodeHandler"]


def test_handler_imports_the_core_and_torchserve_alone() -> None:
    assert top_level(HANDLER) - set(sys.stdlib_module_names) == {"clincode", "torch", "ts"}
