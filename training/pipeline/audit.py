"""The bias audit of a bundle as the pipeline runs it, and which of its flags production has not."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clincode.pipeline import Pipeline
from training.bias.audit import audit
from training.bias.templates import read_templates, read_variants
from training.pipeline.settings import BiasSettings


def audited(bundle: Path, settings: BiasSettings) -> dict[str, Any]:
    """The JSON of ``BiasReport``, without its examples: the audit's own page shows them."""
    templates = read_templates()
    if settings.templates is not None:
        templates = random.Random(settings.seed).sample(templates, min(settings.templates, len(templates)))
    report = audit(
        Pipeline.from_bundle(bundle),
        templates,
        read_variants(),
        seed=settings.seed,
        resamples=settings.resamples,
    ).to_dict()
    for group in report["groups"]:
        group["examples"] = []
    return report


def flags_against(report: Mapping[str, Any], production: Mapping[str, Any]) -> list[str]:
    """Flags that production has not.

    Raises:
        ValueError: the audits are of other numbers of sentences, so that flags say nothing about each other.
    """
    here, there = ((each["templates"], each["notes"]) for each in (report, production))
    if here != there:
        raise ValueError(
            f"production's audit is of {there[0]} templates and {there[1]} notes, this one of {here[0]} and {here[1]}"
        )
    known = set(production["flags"])
    return [flag for flag in report["flags"] if flag not in known]
