"""The steps that decide: evaluation, gates, bias audit."""

import json
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from clincode.pipeline import Pipeline
from training.bundle import build_bundle
from training.corpora import GUIDELINES
from training.evaluation.measure import baseline_scores, latency_figures, machine, ner_figures, size_gb, type_f1
from training.evaluation.notes import EvaluationNotes, negation_scores, read_notes
from training.evaluation.paired import f1_difference
from training.evaluation.reading import Reading, load_tagger, right_or_wrong
from training.evaluation.report import write_report
from training.evaluation.temperature import calibration
from training.ner_report import read_history
from training.pipeline.audit import audited, flags_against
from training.pipeline.context import Run
from training.pipeline.gates import Verdicts, judge, read_gates
from training.pipeline.runner import Outcome, Step
from training.pipeline.state import digest_of, digest_of_values
from training.pipeline.validate import LEARNT
from training.scoring import entity_set

_GUIDELINE = GUIDELINES["clincode"]
_TAGS = set(_GUIDELINE.tags.values())


def evaluation_step(run: Run) -> Step:
    """Candidate and production on the same notes, the baselines beside, and the bundle's times."""

    def inputs() -> dict[str, str]:
        return {
            "candidate": digest_of(run.candidate),
            "previous": digest_of(run.previous),
            "data": digest_of(run.data),
            "curves": digest_of(run.folder / "metrics.jsonl"),
            "evaluation": digest_of_values(run.config.part("evaluation")),
            **{str(path): digest_of(path) for path in run.config.evaluation.latency_notes},
        }

    def execute() -> Outcome:
        build_bundle(run.candidate, run.bundle)
        figures = _figures(run)
        run.evaluation.parent.mkdir(parents=True, exist_ok=True)
        _write(run.evaluation, figures)
        against = figures["against_production"]
        message = (
            f"F1 {figures['scores']['micro']['f1']:.3f} ({against['difference']:+.3f} against {against['production']})"
        )
        return Outcome([run.evaluation, run.bundle], message)

    return Step("evaluation", inputs, execute)


def gates_step(run: Run) -> Step:
    """What the evaluation gives evidence for; the bias audit, which costs most, is left to those that pass."""

    def inputs() -> dict[str, str]:
        return {"evaluation": digest_of(run.evaluation), "gates": digest_of(run.config.gates)}

    def execute() -> Outcome:
        figures = json.loads(run.evaluation.read_text(encoding="utf-8"))
        verdicts = judge(read_gates(run.config.gates), figures["evidence"], stage="evaluation")
        _write(run.gates, verdicts.to_dict())
        if not verdicts.passed:
            _report(run, figures, [verdicts], None)
        return Outcome([run.gates], _summary(verdicts), verdicts.passed)

    return Step("gates", inputs, execute)


def bias_step(run: Run) -> Step:
    """The audit, production's beside, the gate on new flags, and the report that has all of it."""

    def inputs() -> dict[str, str]:
        return {
            "bundle": digest_of(run.bundle),
            "previous": digest_of(run.previous),
            "evaluation": digest_of(run.evaluation),
            "gates": digest_of(run.config.gates),
            "bias": digest_of_values(run.config.part("bias")),
        }

    def execute() -> Outcome:
        figures = json.loads(run.evaluation.read_text(encoding="utf-8"))
        report = audited(run.bundle, run.config.bias)
        flags = flags_against(report, _production_audit(run))
        run.bias.parent.mkdir(parents=True, exist_ok=True)
        _write(run.bias, report)
        gates = read_gates(run.config.gates)
        verdicts = judge(gates, {"new_bias_flags": flags}, stage="bias")
        _write(run.bias.with_name("gates.json"), verdicts.to_dict())
        before = judge(gates, figures["evidence"], stage="evaluation")
        _report(run, {**figures, "bias": report, "new_bias_flags": flags}, [before, verdicts], run.folder)
        outputs = [run.bias, run.bias.with_name("gates.json"), run.report]
        return Outcome(outputs, f"{_summary(verdicts)}; flags in all: {len(report['flags'])}", verdicts.passed)

    return Step("bias audit", inputs, execute)


def _figures(run: Run) -> dict[str, Any]:
    notes = read_notes(run.data / "evaluation.jsonl")
    candidate, production = load_tagger(run.candidate), load_tagger(run.previous)
    reading, other = Reading.of(candidate, notes.sentences), Reading.of(production, notes.sentences)
    gold = entity_set((sentence.tags for sentence in notes.sentences), tags=_TAGS)
    found, theirs = ({f.entity for f in side.found() if f.entity[3] in _TAGS} for side in (reading, other))
    against = {**f1_difference(gold, found, theirs, notes.notes), "production": production.config.version}
    temperature = candidate.config.temperature
    figures: dict[str, Any] = {
        "model": run.version,
        "corpus": ", ".join(path.name for path in run.config.data.evaluation),
        "sentences": len(notes.sentences),
        "date": date.today().isoformat(),
        "machine": machine(),
        "remark": run.config.remark,
        **ner_figures(reading.tags(), notes.sentences, _GUIDELINE),
        "against_production": against,
        "systems": {
            f"production, {production.config.version}": ner_figures(other.tags(), notes.sentences, _GUIDELINE)[
                "scores"
            ],
            **_baselines(run, notes),
        },
        "calibration": calibration(
            right_or_wrong(reading.found(), notes.sentences, _TAGS),
            right_or_wrong(reading.found(temperature), notes.sentences, _TAGS),
            temperature,
            "Fitted on devel, measured here.",
        ),
        "negation": negation_scores(notes),
        "negation_remark": "Annotated mentions whose certainty the notes say, given where they stand.",
        "latency": latency_figures(
            Pipeline.from_bundle(run.bundle), _timed_texts(run, notes), runs=run.config.evaluation.latency_runs
        ),
        "size_gb": size_gb(run.bundle),
        "history": read_history(run.folder),
        "provenance": _provenance(run),
    }
    return {**figures, "evidence": _evidence(figures)}


def _evidence(figures: dict[str, Any]) -> dict[str, Any]:
    """What the gates are judged by; null where nothing was measured."""
    return {
        "entity_f1": figures["scores"]["micro"]["f1"] if figures["scores"]["n"] else None,
        "type_f1": type_f1(figures["scores"]),
        "negation_accuracy": (figures["negation"] or {}).get("accuracy"),
        "p95_ms": figures["latency"]["p95"],
        "size_gb": figures["size_gb"],
        "ece": figures["calibration"]["after"]["ece"],
        "f1_against_production": figures["against_production"],
    }


def _baselines(run: Run, notes: EvaluationNotes) -> dict[str, Any]:
    if not run.config.evaluation.baselines:
        return {}
    files = [run.data / f"{role}.jsonl" for role in LEARNT]
    learnt = [sentence for file in files if file.exists() for sentence in read_notes(file).sentences]
    return baseline_scores(learnt, notes.sentences, _GUIDELINE)


def _timed_texts(run: Run, notes: EvaluationNotes) -> Sequence[str]:
    files = run.config.evaluation.latency_notes
    return [path.read_text(encoding="utf-8") for path in files] or notes.texts


def _provenance(run: Run) -> dict[str, str]:
    learnt = {f"{role} notes (SHA-256)": digest_of(run.data / f"{role}.jsonl") for role in (*LEARNT, "evaluation")}
    start = run.state.starts[-1] if run.state.starts else {}
    trigger = f"{start.get('trigger', '')} {start.get('reason', '')}".strip()
    return {"previous": run.state.facts["previous_version"], "trigger": trigger, **learnt}


def _production_audit(run: Run) -> dict[str, Any]:
    """Of the file that the configuration names, or made here and kept while production and settings are the same."""
    settings = run.config.bias
    if settings.previous is not None:
        report: dict[str, Any] = json.loads(settings.previous.read_text(encoding="utf-8"))
        return report
    key = digest_of_values([digest_of(run.previous), run.config.part("bias")])[:12]
    kept = run.folder / "bias" / f"production-{key}.json"
    if not kept.exists():
        bundle = run.folder / "bias" / "production-bundle"
        build_bundle(run.previous, bundle)
        kept.with_suffix(".new").write_text(json.dumps(audited(bundle, settings)), encoding="utf-8")
        kept.with_suffix(".new").replace(kept)
        shutil.rmtree(bundle)
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _report(run: Run, figures: dict[str, Any], verdicts: Sequence[Verdicts], pictures: Path | None) -> None:
    rows = [row for each in verdicts for row in each.to_dict()["rows"]]
    gates = {"file": str(run.config.gates), "remark": run.config.remark, "rows": rows}
    picture = pictures / "report.png" if pictures is not None else None
    write_report({**figures, "gates": gates}, run.report, main_figure=picture)


def _summary(verdicts: Verdicts) -> str:
    if verdicts.passed:
        return "1 gate holds" if len(verdicts.rows) == 1 else f"{len(verdicts.rows)} gates hold"
    return f"failed: {', '.join(verdicts.failures)}"


def _write(path: Path, figures: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
