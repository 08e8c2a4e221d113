"""The page, its figures and its text."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from training.bias.audit import audit
from training.bias.report import markdown, plot_differences, write_bias_report
from training.bias.result import BiasReport
from training.bias.templates import Template, Variant


@pytest.fixture(scope="module")
def report(stub: Any, some: tuple[list[Template], list[Variant]], denied: Any) -> BiasReport:
    return audit(stub(*some, denied), *some, resamples=1999)


def test_the_page_has_figures_flags_and_pairs_in_it(report: BiasReport, tmp_path: Path) -> None:
    write_bias_report(tmp_path / "bias.html", report)
    html = (tmp_path / "bias.html").read_text(encoding="utf-8")
    images = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', html)
    assert len(images) == 2
    assert all(base64.b64decode(data).startswith(b"\x89PNG") and alt for data, alt in images)
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert all(flag in html for flag in report.flags)
    assert "Medicaid patient" in html


def test_a_picture_is_written(report: BiasReport, tmp_path: Path) -> None:
    plot_differences(report, tmp_path / "bias.png")
    assert (tmp_path / "bias.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables_have_every_group_and_mark_flags(report: BiasReport) -> None:
    lines = list(markdown(report))
    rows = [line for line in lines if line.startswith("| insurance: medicaid / private")]
    assert len(rows) == 2
    assert all("⚑" in row for row in rows)
    assert not any("⚑" in line for line in lines if line.startswith("| sex"))
    assert lines[-1] == "Flags: " + ", ".join(f"`{flag}`" for flag in report.flags) + "."
