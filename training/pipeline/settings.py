"""One YAML file a pipeline, checked as a whole before anything is run.

Paths are relative to the current folder, those of data to ``data.root``.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from training.run_config import ConfigError, CorpusConfig, Fraction, RunConfig, read_config

_SET_HERE = {"version", "start", "corpora", "devel"}
"""What a run's configuration says and the pipeline knows better."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Strict):
    """JSON lines (docs/annotated-notes.md) by role. ``devel`` fits the temperature and is what the run's curves are of;
    ``evaluation`` is what the gates judge."""

    root: Path = Path(".")
    old: list[Path] = []
    new: list[Path] = []
    reviewed: list[Path] = []
    devel: Annotated[list[Path], Field(min_length=1)]
    evaluation: Annotated[list[Path], Field(min_length=1)]

    @model_validator(mode="after")
    def _something_to_learn(self) -> "DataSettings":
        if not (self.old or self.new or self.reviewed):
            raise ValueError("there must be old, new or reviewed notes to learn from")
        return self

    def files(self) -> dict[str, list[Path]]:
        names = ("old", "new", "reviewed", "devel", "evaluation")
        return {name: [self.root / path for path in getattr(self, name)] for name in names}


class ValidationSettings(_Strict):
    failing: Fraction = 0.05
    shift: Fraction = 0.15
    alpha: Fraction = 0.01


class TrainingSettings(_Strict):
    """``options`` are those of a training run (docs/training.md); ``corpora`` are learnt from beside the notes, with
    paths relative to the current folder; ``processes`` above 1 are started by torchrun."""

    options: dict[str, Any]
    corpora: list[CorpusConfig] = []
    reviewed_weight: Annotated[float, Field(gt=0)] = 1.0
    processes: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _options_fit(self) -> "TrainingSettings":
        if taken := _SET_HERE & self.options.keys():
            raise ValueError(f"options: the pipeline sets {', '.join(sorted(taken))} itself")
        if self.options.get("lora") is not None:
            raise ValueError("options.lora: a run that goes on from a model trains all of its weights")
        devel = {"path": "devel.jsonl", "format": "jsonl"}
        corpus = {"path": "old.jsonl", "guideline": "clincode", "format": "jsonl"}
        trial = {**self.options, "version": "bert-clinical-ner-v0.0.1", "corpora": [corpus], "devel": devel}
        try:
            RunConfig.model_validate(trial)
        except ValidationError as error:
            faults = (f"options.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ValueError("; ".join(faults)) from None
        return self


class EvaluationSettings(_Strict):
    """``latency_notes`` are text files; by default the evaluation's own notes are timed."""

    latency_runs: Annotated[int, Field(ge=10)] = 100
    latency_notes: list[Path] = []
    baselines: bool = True


class BiasSettings(_Strict):
    """``templates``: a seeded choice of so many, for a quick run; by default all. ``previous``: the JSON of
    production's audit, else production is audited too, on the same templates."""

    templates: Annotated[int, Field(ge=5)] | None = None
    seed: int = 0
    resamples: Annotated[int, Field(ge=99)] = 9999
    previous: Path | None = None


class PackagingSettings(_Strict):
    """``store``: as ``training.registry`` takes it; by default a folder of the run."""

    store: str | None = None
    variant: Annotated[str, Field(pattern=r"^[a-z]*$")] = ""
    card: Path | None = None


class StagingSettings(_Strict):
    """``archive``: build the ``.mar`` too. ``url`` and ``key_file``: a TorchServe that serves it, asked as well."""

    archive: bool = False
    url: HttpUrl | None = None
    key_file: Path | None = None


class TargetSettings(_Strict):
    name: str
    url: HttpUrl
    key_file: Path


class CanarySettings(_Strict):
    """``routing``: the gateway's file; by default one in the run's folder, in which ``production`` answers the rest."""

    share: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    url: HttpUrl
    key_file: Path
    routing: Path | None = None
    production: TargetSettings | None = None

    @model_validator(mode="after")
    def _somebody_answers_the_rest(self) -> "CanarySettings":
        if self.routing is None and self.production is None:
            raise ValueError("name the gateway's routing file, or production's target for a new one")
        return self


class PipelineConfig(_Strict):
    """``previous``: the model to go on from and to beat; by default the registry's newest, else the newest release."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    previous: Path | None = None
    gates: Path = Path("config/gates.yaml")
    remark: str = ""
    data: DataSettings
    validation: ValidationSettings = ValidationSettings()
    training: TrainingSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    bias: BiasSettings = BiasSettings()
    packaging: PackagingSettings = PackagingSettings()
    staging: StagingSettings = StagingSettings()
    canary: CanarySettings

    def part(self, name: str) -> dict[str, Any]:
        """A section as plain values, for its digest."""
        values: dict[str, Any] = self.model_dump(mode="json")[name]
        return values


def load_pipeline_config(path: Path) -> PipelineConfig:
    """Raises ``ConfigError`` with every fault, each with the place of its key."""
    config = read_config(path, PipelineConfig)
    missing = [file for files in config.data.files().values() for file in files if not file.is_file()]
    missing += [
        file for file in (config.gates, config.packaging.card, config.bias.previous) if file and not file.is_file()
    ]
    missing += [file for file in config.evaluation.latency_notes if not file.is_file()]
    if config.previous is not None and not config.previous.is_dir():
        missing.append(config.previous)
    if missing:
        raise ConfigError(f"{path}: not there: " + ", ".join(map(str, missing)))
    return config
