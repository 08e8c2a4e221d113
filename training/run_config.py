"""One YAML file a training run, checked as a whole before anything is loaded."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.corpora import GUIDELINES, READERS

Config = TypeVar("Config", bound=BaseModel)
Fraction = Annotated[float, Field(ge=0, le=1)]


class ConfigError(ValueError):
    """Everything that is wrong with a run's configuration, a fault a line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusConfig(_Strict):
    """A corpus to learn from; ``share`` of its sentences is drawn anew each epoch."""

    path: Path
    guideline: str
    format: str = "iob2"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    serving_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of what it teaches the head that serves, relative to what it teaches the head of its guideline."""

    @model_validator(mode="after")
    def _known(self) -> "CorpusConfig":
        if self.guideline not in GUIDELINES:
            raise ValueError(f"guideline '{self.guideline}' is none of {', '.join(GUIDELINES)}")
        if self.format not in READERS:
            raise ValueError(f"format '{self.format}' is none of {', '.join(READERS)}")
        return self


class LoraConfig(_Strict):
    """Train low-rank adapters instead of the encoder itself (``training/lora.py``)."""

    rank: Annotated[int, Field(ge=1, le=256)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Fraction = 0.05


class DevelConfig(_Strict):
    """A corpus that chooses the best epoch; scored with the head named."""

    path: Path
    guideline: str = "clincode"
    format: str = "iob2"
    head: str = "clincode"


class RunConfig(_Strict):
    """A run. Paths of corpora are relative to the data folder."""

    version: Annotated[str, Field(pattern=r"^bert-clinical-ner-v\d+\.\d+\.\d+(-[a-z]+)?$")]
    encoder: str
    base: str | None = None
    """The packaged encoder that a release is the difference from, where ``encoder`` is a folder descended from it."""
    start: Path | None = None
    """A model folder of the same encoder whose weights the run goes on from; heads that it has not start afresh."""
    seed: int = 13
    corpora: Annotated[list[CorpusConfig], Field(min_length=1)]
    devel: DevelConfig
    lora: LoraConfig | None = None
    epochs: Annotated[int, Field(ge=1)] = 5
    batch_tokens: Annotated[int, Field(ge=512)] = 2048
    """Sub-tokens a micro-batch, padding included."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 3e-5
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    weight_decay: Fraction = 0.01
    warmup: Fraction = 0.1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    dropout: Fraction = 0.1
    max_tokens: Annotated[int, Field(ge=32, le=512)] = 512
    overlap: Annotated[int, Field(ge=0)] = 128
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the forward pass; ``auto`` is FP16 with loss scaling on CUDA and FP32 elsewhere. Weights stay in FP32."""
    gradient_checkpointing: bool = False
    keep: Literal["best", "last"] = "best"
    """The epoch whose weights are kept. ``last`` leaves devel out of the choice, so that its figure stays honest."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better devel F1 after which training stops; None never stops early."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a running average of the weights, which is then what is scored and kept."""
    r_drop: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the divergence between two passes with other dropout; doubles the cost of a step."""
    structured: bool = False
    """Score whole sequences under the BIO constraints instead of independent words."""
    soft_labels: Path | None = None
    """Folder of a teacher's probabilities that ``training.teach`` wrote, for every corpus of the run."""
    soft_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of a teacher's word relative to one of the corpus."""
    states_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight a word of the distance to the teacher's states; 0 leaves them out."""
    class_weights: Literal["none", "inverse_frequency"] = "none"
    log_every: Annotated[int, Field(ge=1)] = 50
    checkpoint_every: Annotated[int, Field(ge=1)] = 500
    """Steps between the states that an interrupted run can resume from; each end of an epoch is one too."""

    @model_validator(mode="after")
    def _adapters_start_from_the_encoder(self) -> "RunConfig":
        if self.start is not None and self.lora is not None:
            raise ValueError("start cannot go with lora: a release would no longer be the encoder and one adapter")
        return self

    @model_validator(mode="after")
    def _states_have_a_teacher(self) -> "RunConfig":
        if self.states_weight and self.soft_labels is None:
            raise ValueError("states_weight needs soft_labels, the folder that a teacher wrote")
        return self


def load_run_config(path: Path) -> RunConfig:
    """Read and check a run's YAML; see ``read_config``."""
    return read_config(path, RunConfig)


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a YAML file and check it as a whole.

    Raises:
        ConfigError: with every fault that was found, each with the place of its key.
    """
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        faults = [f"  {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError(f"{path}: {len(faults)} faults\n" + "\n".join(faults)) from None
