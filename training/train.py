"""Fine-tune an encoder for clinical NER.

    python -m training.train config/train/RUN.yaml --data ../shared/data --out runs/RUN
    torchrun --nproc_per_node=4 -m training.train config/train/RUN.yaml --data DATA --out runs/RUN

The run folder holds ``metrics.jsonl``, ``last.pt`` (everything a resumed run needs; the same command resumes),
``provenance.json`` and ``best/``, the checkpoint of the epoch that scored best on devel, which ``clincode``,
``clincode registry publish`` and ``archive.sh`` read.
"""

import math
import os
import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers import AutoTokenizer, get_linear_schedule_with_warmup

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.model import BertForClinicalNER, NerEngine
from clincode.windows import Windower
from training.batches import Example, TrainingCorpus, collate, epoch_batches, epoch_examples
from training.checkpoint import save_checkpoint
from training.corpora import GUIDELINES, READERS
from training.dropout import use_fast_dropout
from training.encoders import encoder_folder
from training.evaluate_ner import ModelTagger, evaluate_tagger
from training.lora import add_lora
from training.objective import Objective
from training.provenance import provenance, write_provenance
from training.run_config import CorpusConfig, RunConfig, load_run_config
from training.run_log import RunLog
from training.soft_labels import STATES, load_soft_labels
from training.start import start_from
from training.supervision import Supervision, inverse_frequency
from training.world import World

NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the run's folder; an unfinished run in it is resumed")],
    seed: Annotated[int | None, typer.Option(help="in place of the YAML's")] = None,
) -> None:
    """Train, keeping the best epoch by devel F1."""
    run = load_run_config(config)
    if seed is not None:
        run = run.model_copy(update={"seed": seed})
    world = World.join()
    try:
        trainer = Trainer(run, data, out, world)
        try:
            trainer.train()
        except BaseException:
            if trainer.log:
                trainer.log.close(failed=True)
            raise
    finally:
        world.leave()


class Trainer:
    """A run: everything is built in the constructor, ``train`` reads from top to bottom."""

    def __init__(self, run: RunConfig, data: Path, out: Path, world: World) -> None:
        self.run, self.out, self.world = run, out, world
        out.mkdir(parents=True, exist_ok=True)
        random.seed(run.seed)
        np.random.seed(run.seed)
        torch.manual_seed(run.seed)
        self.corpora = [_training_corpus(corpus, run, data) for corpus in run.corpora]
        devel = GUIDELINES[run.devel.guideline]
        self.devel = READERS[run.devel.format](data / run.devel.path, devel)
        guidelines = list({corpus.guideline.name: corpus.guideline for corpus in self.corpora}.values())
        complete = GUIDELINES[SERVING_HEAD]
        heads = {g.name: g.labels for g in [complete, *guidelines] if g.tags}
        self.model_config = ModelConfig(run.version, heads, run.max_tokens, run.overlap, run.dropout)
        class_weights = {}
        if run.class_weights == "inverse_frequency":
            tags = (s.tags for corpus in self.corpora if corpus.guideline is complete for s in corpus.sentences)
            class_weights = {SERVING_HEAD: inverse_frequency(tags, complete.labels)}
        self.supervision = Supervision(guidelines, heads, class_weights)
        folder = encoder_folder(run.encoder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.network = BertForClinicalNER(
            len(complete.labels),
            run.dropout,
            folder,
            guideline_heads={n: len(labels) for n, labels in heads.items() if n != SERVING_HEAD},
        )
        if run.start is not None:
            start_from(run.start, self.network, heads)
        if run.lora is not None:
            add_lora(self.network.encoder, rank=run.lora.rank, alpha=run.lora.alpha, dropout=run.lora.dropout)
        if world.device.type == "cpu":
            use_fast_dropout(self.network)
        self.network.to(world.device)
        self.average = _running_average(self.network, run.ema) if run.ema else None
        widths = [corpus.states.shape[1] for corpus in self.corpora if corpus.states is not None]
        objective = Objective(
            self.network,
            heads,
            structured=run.structured,
            r_drop=run.r_drop,
            states_weight=run.states_weight,
            teacher_hidden=max(widths, default=0),
        ).to(world.device)
        self.projection = objective.projection
        groups = _parameter_groups(objective, run)
        self.objective = objective if world.size == 1 else nn.parallel.DistributedDataParallel(objective)
        self.optimizer = torch.optim.AdamW(groups, lr=run.learning_rate, fused=True)
        if run.gradient_checkpointing:
            self.network.encoder.gradient_checkpointing_enable()
        self.precision = _precision(run.precision, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == torch.float16)
        self.steps_an_epoch = len(self._steps(0))
        self.log = self._begin_log(data) if world.rank == 0 else None
        total = self.steps_an_epoch * run.epochs
        self.scheduler = get_linear_schedule_with_warmup(self.optimizer, round(run.warmup * total), total)
        self.epoch, self.step, self.best_f1, self.best_epoch, self.loss_sum = 0, 0, -1.0, 0, 0.0

    def train(self) -> None:
        self._resume()
        while self.epoch < self.run.epochs and not self._is_stuck():
            started = time.monotonic()
            loss = self._train_epoch()
            if self.log:
                f1 = self._evaluate()
                self.log.write(epoch=self.epoch + 1, loss=loss, devel_f1=f1, seconds=time.monotonic() - started)
                better = f1 > self.best_f1
                if better:
                    self.best_f1, self.best_epoch = f1, self.epoch + 1
                if better or self.run.keep == "last":
                    save_checkpoint(self._released(), self.model_config, self.tokenizer, self.out / "best")
            self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
            if self.world.rank == 0:
                self._save_state(self.epoch, self.step)
            # Rank 0 alone evaluates; the others must stop when it does.
            self.best_f1, best_epoch = self.world.from_first(self.best_f1, self.best_epoch)
            self.best_epoch = int(best_epoch)
        if self.log:
            self.log.close()

    def _begin_log(self, data: Path) -> RunLog:
        record = provenance(self.run, data)
        write_provenance(self.out, record)
        return RunLog(self.out, record, self.steps_an_epoch)

    def _released(self) -> BertForClinicalNER:
        """The network that is scored and kept: the running average of the weights where there is one."""
        network: BertForClinicalNER = self.network if self.average is None else self.average.module  # type: ignore[assignment]
        return network

    def _is_stuck(self) -> bool:
        return self.run.patience is not None and self.epoch - self.best_epoch >= self.run.patience

    def _steps(self, epoch: int) -> list[list[list[Example]]]:
        """The epoch's steps; each is a list of micro-batches, ``accumulation × world size`` of them."""
        examples = epoch_examples(
            self.corpora, self.tokenizer, max_tokens=self.run.max_tokens, seed=self.run.seed, epoch=epoch
        )
        groups = epoch_batches(examples, batch_tokens=self.run.batch_tokens, seed=self.run.seed, epoch=epoch)
        size = self.run.accumulation * self.world.size
        # What is left over and does not fill a step would change the number of steps between ranks: it is dropped.
        return [groups[i : i + size] for i in range(0, len(groups) - size + 1, size)]

    def _train_epoch(self) -> float:
        self.objective.train()
        steps = self._steps(self.epoch)[: self.steps_an_epoch]
        progress = tqdm(
            steps, desc=f"epoch {self.epoch + 1}/{self.run.epochs}", unit="step", disable=self.world.rank != 0
        )
        for index, groups in enumerate(progress):
            if index < self.step:
                continue
            self._seed_step(index)
            recent = self._train_step(groups)
            self.loss_sum += recent
            progress.set_postfix(loss=f"{recent:.3f}")
            if self.log and (index + 1) % self.run.log_every == 0:
                self.log.write(epoch=self.epoch + 1, step=index + 1, loss=recent, lr=self.scheduler.get_last_lr()[0])
            if (index + 1) % self.run.checkpoint_every == 0 and self.world.rank == 0:
                self._save_state(self.epoch, index + 1)
        return self.loss_sum / max(1, len(steps))

    def _seed_step(self, step: int) -> None:
        """Dropout depends on seed, epoch, step and rank alone, so that a resumed run draws what it would have drawn."""
        torch.manual_seed(hash((self.run.seed, self.epoch, step, self.world.rank)) % 2**63)

    def _train_step(self, groups: Sequence[Sequence[Example]]) -> float:
        """One update from all micro-batches of the step; returns the mean loss over their labelled tokens."""
        pad_id = self.tokenizer.pad_token_id
        batches = [collate(group, self.supervision, pad_id) for group in groups]
        weight = max(1.0, sum(batch.total_weight for batch in batches))
        loss = torch.zeros((), device=self.world.device)
        mine = batches[self.world.rank :: self.world.size]
        for index, batch in enumerate(mine):
            # Gradients travel between processes once a step, with the last micro-batch.
            with self._synchronised(index == len(mine) - 1):
                # DDP averages over processes; the sum over the whole step is wanted, so the average is scaled back.
                with torch.autocast(self.world.device.type, self.precision, enabled=self.precision != torch.float32):
                    part = self.objective(batch.to(self.world.device)) * (self.world.size / weight)
                self.scaler.scale(part).backward()
            loss += part.detach()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.objective.parameters(), self.run.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.network)
        value = self.world.total(loss) / self.world.size
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} in epoch {self.epoch + 1}")
        return value

    def _synchronised(self, last: bool) -> AbstractContextManager[None]:
        if last or not isinstance(self.objective, nn.parallel.DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[None] = self.objective.no_sync()
        return context

    def _evaluate(self) -> float:
        windower = Windower(self.tokenizer.backend_tokenizer, max_tokens=self.run.max_tokens, overlap=self.run.overlap)
        engine = NerEngine(self._released(), device=str(self.world.device), precision="fp32")
        tagger = ModelTagger(self.model_config, windower, engine, self.run.devel.head)
        scores: Any = evaluate_tagger(tagger, self.devel, GUIDELINES[self.run.devel.guideline])
        return float(scores["micro"]["f1"])

    def _save_state(self, epoch: int, step: int) -> None:
        state = {
            "network": self.network.state_dict(),
            "projection": self.projection.state_dict() if self.projection is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "epoch": epoch,
            "step": step,
            "loss_sum": self.loss_sum,
            "best_f1": self.best_f1,
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
        }
        torch.save(state, self.out / "last.pt.new")
        os.replace(self.out / "last.pt.new", self.out / "last.pt")

    def _resume(self) -> None:
        path = self.out / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.world.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        if self.projection is not None:
            self.projection.load_state_dict(state["projection"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_f1, self.best_epoch, self.loss_sum = state["best_f1"], state["best_epoch"], state["loss_sum"]
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.world.rank == 0:
            tqdm.write(f"resuming at epoch {self.epoch + 1}, step {self.step}")


def _training_corpus(corpus: CorpusConfig, run: RunConfig, data: Path) -> TrainingCorpus:
    guideline = GUIDELINES[corpus.guideline]
    sentences = READERS[corpus.format](data / corpus.path, guideline)
    soft = load_soft_labels(run.soft_labels, corpus.path, sentences) if run.soft_labels else {}
    states = soft.pop(STATES, None)
    return TrainingCorpus(
        guideline,
        sentences,
        corpus.share,
        corpus.serving_weight,
        soft,
        run.soft_weight,
        states if run.states_weight else None,
    )


def _running_average(network: nn.Module, decay: float) -> AveragedModel:
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=update)


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if wanted != "auto":
        return names[wanted]
    if device.type == "cuda":
        return torch.float16
    # Without the instructions, BF16 on a CPU is emulated and several times slower than FP32.
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32


def _parameter_groups(objective: nn.Module, run: RunConfig) -> list[dict[str, Any]]:
    """Weight decay for all but biases and LayerNorm; what is new may learn faster than the encoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if name.endswith(NO_DECAY) or "embeddings" in name else run.weight_decay
        rate = run.head_learning_rate if ".encoder." not in name and run.head_learning_rate else run.learning_rate
        groups.setdefault((decay, rate), []).append(parameter)
    return [{"params": p, "weight_decay": decay, "lr": rate} for (decay, rate), p in groups.items()]


if __name__ == "__main__":
    typer.run(main)
