"""Whether data can be trained on: every sample is checked, what fails is left out, and too much of it stops the run.

Roles: ``old``, ``new`` and ``reviewed`` are learnt from; ``devel`` and ``evaluation`` are not, and no text of theirs
may be among the others.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.pipeline.samples import TYPES, Fault, Sample, read_samples
from training.pipeline.shift import Shift, label_shift

LEARNT = ("old", "new", "reviewed")
HELD_OUT = ("devel", "evaluation")
ROLES = (*LEARNT, *HELD_OUT)
CHECKS = ("schema", "missing", "type", "span", "duplicate", "leakage")
_TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Limits:
    """``failing``: the share of a file's samples that may fail. ``shift`` and ``alpha``: see ``Shift.exceeds``."""

    failing: float = 0.05
    shift: float = 0.15
    alpha: float = 0.01


@dataclass(frozen=True, slots=True)
class FileResult:
    role: str
    file: str
    samples: int
    failing: int
    entities: dict[str, int]

    @property
    def share(self) -> float:
        """Of samples that fail; a file without any fails whole."""
        return self.failing / self.samples if self.samples else 1.0


@dataclass(frozen=True, slots=True)
class Validation:
    """``stops``: why the run goes no further, empty where it does. ``shift``: None where nothing can be compared."""

    files: tuple[FileResult, ...]
    faults: tuple[Fault, ...]
    shift: Shift | None
    stops: tuple[str, ...]
    limits: Limits

    @property
    def passed(self) -> bool:
        return not self.stops

    def to_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "stops": list(self.stops),
            "limits": asdict(self.limits),
            "files": [{**asdict(file), "share": file.share} for file in self.files],
            "shift": asdict(self.shift) if self.shift else None,
            "faults": [asdict(fault) for fault in self.faults],
        }


def validate(
    files: Mapping[str, Sequence[Path]], limits: Limits | None = None
) -> tuple[Validation, dict[str, list[bytes]]]:
    """Check the files of each role; returns the verdict, and by role the lines that may be used.

    The reference of the label distribution are the ``old`` notes; ``new`` and ``reviewed`` ones are held against it.

    Raises:
        OSError: a file cannot be read.
    """
    limits = limits or Limits()
    read = [
        (role, path, list(read_samples(path)))
        for role, path in tqdm([(r, p) for r in ROLES for p in files.get(r, ())], desc="validation", unit="file")
    ]
    # What is held out is known before what is learnt from is looked at.
    held = {s.digest: f"{s.file}:{s.line}" for role, _, group in read if role in HELD_OUT for s in group if s.digest}
    texts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for role, _, group in read:
        for sample in group:
            _check_against(sample, role, held, ids, texts)
    results = tuple(_result(role, path, group) for role, path, group in read)
    usable: dict[str, list[bytes]] = {role: [] for role in ROLES}
    types: dict[str, list[Counter[str]]] = {role: [] for role in ROLES}
    for role, _, group in read:
        good = [sample for sample in group if not sample.faults]
        usable[role] += [sample.raw for sample in good]
        types[role] += [sample.types for sample in good]
    shift = label_shift(types["old"], types["new"] + types["reviewed"])
    faults = tuple(fault for _, _, group in read for sample in group for fault in sample.faults)
    stops = tuple(_stops(results, usable, shift, limits))
    return Validation(results, faults, shift, stops, limits), usable


def write_validation(validation: Validation, folder: Path) -> list[Path]:
    """``validation.json`` and ``validation.html``: faults by file, line and id."""
    from jinja2 import Environment, FileSystemLoader

    folder.mkdir(parents=True, exist_ok=True)
    data = validation.to_dict()
    counts = Counter(fault.check for fault in validation.faults)
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    page = environment.get_template("validation.html").render(
        **data, types=TYPES, checks={check: counts[check] for check in CHECKS}
    )
    (folder / "validation.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (folder / "validation.html").write_text(page, encoding="utf-8")
    return [folder / "validation.json", folder / "validation.html"]


def _check_against(
    sample: Sample, role: str, held: Mapping[str, str], ids: dict[str, str], texts: dict[str, str]
) -> None:
    """Duplicates and leakage; of notes that are the same the first one stays."""
    here = f"{sample.file}:{sample.line}"
    if sample.id and ids.setdefault(sample.id, here) != here:
        sample.blame("duplicate", f"id of {ids[sample.id]}")
    if sample.digest is None:
        return
    if role in LEARNT and sample.digest in held:
        sample.blame("leakage", f"text of {held[sample.digest]}, which is held out")
    elif texts.setdefault(sample.digest, here) != here:
        sample.blame("duplicate", f"text of {texts[sample.digest]}")


def _result(role: str, path: Path, samples: Sequence[Sample]) -> FileResult:
    entities = sum((sample.types for sample in samples), Counter[str]())
    failing = sum(bool(sample.faults) for sample in samples)
    return FileResult(role, path.name, len(samples), failing, {kind: entities[kind] for kind in TYPES})


def _stops(
    results: Sequence[FileResult], usable: Mapping[str, Sequence[bytes]], shift: Shift | None, limits: Limits
) -> list[str]:
    stops = []
    for result in results:
        if not result.samples:
            stops.append(f"{result.file} ({result.role}) is empty")
        elif result.share > limits.failing:
            stops.append(
                f"{result.file} ({result.role}): {result.failing} of {result.samples} samples fail "
                f"({result.share:.1%}, limit {limits.failing:.1%})"
            )
    stops += [f"no note left for {role}" for role in HELD_OUT if not usable[role]]
    if not any(usable[role] for role in LEARNT):
        stops.append("no note left to learn from")
    if shift is not None and shift.exceeds(limits.shift, limits.alpha):
        stops.append(
            f"labels of new and reviewed notes are {shift.distance:.3f} from those of the old (total variation, "
            f"limit {limits.shift:g}; p {shift.p:.3f})"
        )
    return stops
