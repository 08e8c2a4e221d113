"""One HTML file on a model, for those who decide on it: figures are embedded, no text of a corpus is in it.

It is drawn from a JSON object alone (``training.evaluation.measure``, and what the pipeline adds), so that it can be
drawn again. Keys that may be missing or null: ``against_production``, ``calibration``, ``negation``, ``bias``,
``gates``, ``history``, ``latency``, ``size_gb``, ``served_temperature`` (where it is not the one that was fitted). What
is missing is said to be.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clincode.labels import OUTSIDE, TYPE_TO_TAG, EntityType
from clincode.types import IntArray
from training.confusion import NONE
from training.evaluation.sections import (
    bias_section,
    calibration_section,
    difference_section,
    errors_section,
    latency_section,
)
from training.ner_report import Section, confusion_section, f1_section, history_section

_TEMPLATES = Path(__file__).parents[1] / "templates"


def write_report(figures: Mapping[str, Any], path: Path, *, main_figure: Path | None = None) -> None:
    """Write the report; with ``main_figure`` also the figure of F1 by type, as PNG.

    Raises:
        ValueError: where the packages that draw and write are not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader
    except ModuleNotFoundError:
        raise ValueError("the report needs jinja2: pip install 'clincode[reports]'") from None
    systems = [(figures["model"], figures["scores"]), *figures.get("systems", {}).items()]
    f1 = f1_section(systems)
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    html = environment.get_template("evaluation_report.html").render(
        figures=figures,
        tiles=_tiles(figures),
        tables=[(name, _rows(scores)) for name, scores in systems],
        sections=[f1, *_sections(figures)],
        missing=[name for name in ("calibration", "negation", "latency", "history") if not figures.get(name)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    if main_figure is not None:
        main_figure.write_bytes(base64.b64decode(f1.png))


def _sections(figures: Mapping[str, Any]) -> list[Section]:
    names = list(figures["scores"]["per_type"])
    tags = [TYPE_TO_TAG[EntityType(name)] for name in names]
    sections = []
    if figures.get("against_production"):
        sections.append(difference_section(figures["against_production"]))
    sections += [
        confusion_section("Entities", "entities", tags, NONE, _matrix(figures, "entities")),
        confusion_section("Words", "words", tags, OUTSIDE, _matrix(figures, "words")),
    ]
    if figures.get("calibration"):
        sections.append(calibration_section(figures["calibration"]))
    if figures.get("bias"):
        sections.append(bias_section(figures["bias"], figures.get("new_bias_flags")))
    sections.append(errors_section(figures["errors"]))
    if figures.get("history"):
        sections.append(history_section(figures["history"]))
    if figures.get("latency"):
        sections.append(latency_section(figures["latency"], figures.get("size_gb")))
    return sections


def _matrix(figures: Mapping[str, Any], name: str) -> IntArray:
    return np.array(figures["confusion"][name], dtype=np.int64)


def _tiles(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is asked first: name, figure, and what stands below it."""
    micro = figures["scores"]["micro"]
    low, high = micro["interval"]
    tiles = [("entity F1", f"{micro['f1']:.3f}", f"{low:.3f} – {high:.3f}")]
    against = figures.get("against_production")
    if against:
        tiles.append(("against production", f"{against['difference']:+.3f}", against["production"]))
    negation, calibration = figures.get("negation"), figures.get("calibration")
    tiles.append(
        ("negation accuracy", f"{negation['accuracy']:.3f}" if negation else "–", "" if negation else "not measured")
    )
    tiles.append(_ece_tile(figures, calibration))
    critical = sum(count["critical"] for count in figures["errors"]["kinds"].values())
    total = sum(sum(count.values()) for count in figures["errors"]["kinds"].values())
    tiles.append(("critical errors", str(critical), f"of {total}"))
    bias = figures.get("bias")
    new = figures.get("new_bias_flags")
    compared = "not compared" if new is None else f"{len(new)} that production has not"
    tiles.append(("bias flags", str(len(bias["flags"])) if bias else "–", compared if bias else "not audited"))
    latency, size = figures.get("latency"), figures.get("size_gb")
    tiles.append(("p95", f"{latency['p95']:.0f} ms" if latency else "–", "a note" if latency else "not measured"))
    tiles.append(("size", f"{size * 1000:.0f} MB" if size else "–", "" if size else "not measured"))
    return tiles


def _ece_tile(figures: Mapping[str, Any], calibration: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """As the model is served: a release of before its temperature was fitted serves at 1."""
    if not calibration or calibration["after"]["ece"] is None:
        return "ECE", "–", "not measured"
    temperature = calibration["temperature"]
    before, after = (calibration[side]["ece"] for side in ("before", "after"))
    if figures.get("served_temperature", temperature) == temperature:
        return "ECE", f"{after:.3f}", "ten bins"
    return "ECE as served", f"{before:.3f}", f"{after:.3f} at temperature {temperature:g}"


def _rows(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    types = [{"name": name, "total": False, **row} for name, row in scores["per_type"].items()]
    return [*types, {"name": "micro", "total": True, "n": scores["n"], **scores["micro"]}]
