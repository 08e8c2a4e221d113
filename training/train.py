"""Fine-tune an encoder for clinical NER.

    python -m training.train config/train/RUN.yaml --data ../shared/data --out runs/RUN
    torchrun --nproc_per_node=4 -m training.train config/train/RUN.yaml --data DATA --out runs/RUN

The run folder holds ``metrics.jsonl``, ``last.pt`` (everything a resumed run needs; the same command resumes) and
``best/``, the checkpoint of the epoch that scored best on devel, which ``clincode`` and ``archive.sh`` read.
"""

import json
import math
import os
import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import distributed, nn
from tqdm import tqdm
from transformers import AutoTokenizer, get_linear_schedule_with_warmup

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.model import BertForClinicalNER, NerEngine
from clincode.windows import Windower
from training.batches import Batch, Example, TrainingCorpus, collate, epoch_batches, epoch_examples
from training.checkpoint import save_checkpoint
from training.corpora import GUIDELINES, READERS
from training.dropout import use_fast_dropout
from training.encoders import encoder_folder
from training.evaluate_ner import ModelTagger, evaluate_tagger
from training.lora import add_lora
from training.run_config import RunConfig, load_run_config
from training.supervision import Supervision, marginal_loss

NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among all of them."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls) -> "World":
        """Join torchrun's process group where there is one: NCCL on GPUs, Gloo without."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
        if size > 1:
            distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(int(os.environ.get("RANK", "0")), size, torch.device(f"cuda:{local}" if cuda else "cpu"))


class LossNetwork(nn.Module):
    """The network and its loss in one ``forward``, so that DDP sees every use of a parameter."""

    def __init__(self, network: BertForClinicalNER) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> torch.Tensor:
        """The summed loss of all heads."""
        states = self.network.hidden_states(batch.input_ids, batch.attention_mask)
        losses = [
            marginal_loss(head(states), batch.allowed[name], batch.weights[name])
            for name, head in self.network.heads.items()
        ]
        return torch.stack(losses).sum()


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the run's folder; an unfinished run in it is resumed")],
) -> None:
    """Train, keeping the best epoch by devel F1."""
    run = load_run_config(config)
    world = World.join()
    try:
        Trainer(run, data, out, world).train()
    finally:
        if world.size > 1:
            distributed.destroy_process_group()


class Trainer:
    """A run: everything is built in the constructor, ``train`` reads from top to bottom."""

    def __init__(self, run: RunConfig, data: Path, out: Path, world: World) -> None:
        self.run, self.out, self.world = run, out, world
        out.mkdir(parents=True, exist_ok=True)
        random.seed(run.seed)
        np.random.seed(run.seed)
        torch.manual_seed(run.seed)
        self.corpora = [
            TrainingCorpus(
                GUIDELINES[c.guideline],
                READERS[c.format](data / c.path, GUIDELINES[c.guideline]),
                c.share,
                c.serving_weight,
            )
            for c in run.corpora
        ]
        devel = GUIDELINES[run.devel.guideline]
        self.devel = READERS[run.devel.format](data / run.devel.path, devel)
        guidelines = list({corpus.guideline.name: corpus.guideline for corpus in self.corpora}.values())
        complete = GUIDELINES[SERVING_HEAD]
        heads = {g.name: g.labels for g in [complete, *guidelines]}
        self.model_config = ModelConfig(run.version, heads, run.max_tokens, run.overlap, run.dropout)
        self.supervision = Supervision(guidelines, heads, self._class_weights(heads))
        folder = encoder_folder(run.encoder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.network = BertForClinicalNER(
            len(complete.labels),
            run.dropout,
            folder,
            guideline_heads={n: len(labels) for n, labels in heads.items() if n != SERVING_HEAD},
        )
        if run.lora is not None:
            add_lora(self.network.encoder, rank=run.lora.rank, alpha=run.lora.alpha, dropout=run.lora.dropout)
        if world.device.type == "cpu":
            use_fast_dropout(self.network)
        self.network.to(world.device)
        loss_network: nn.Module = LossNetwork(self.network)
        if world.size > 1:
            loss_network = nn.parallel.DistributedDataParallel(loss_network)
        self.loss_network = loss_network
        self.optimizer = torch.optim.AdamW(_parameter_groups(self.network, run), lr=run.learning_rate)
        if run.gradient_checkpointing:
            self.network.encoder.gradient_checkpointing_enable()
        self.precision = _precision(run.precision, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == torch.float16)
        self.steps_an_epoch = len(self._steps(0))
        total = self.steps_an_epoch * run.epochs
        self.scheduler = get_linear_schedule_with_warmup(self.optimizer, round(run.warmup * total), total)
        self.epoch, self.step, self.best_f1, self.best_epoch, self.loss_sum = 0, 0, -1.0, 0, 0.0

    def _class_weights(self, heads: dict[str, tuple[str, ...]]) -> dict[str, torch.Tensor]:
        """``N / (C n_c)`` for the labels of the serving head, counted where all five types are annotated."""
        if self.run.class_weights == "none":
            return {}
        labels = heads[SERVING_HEAD]
        counts = dict.fromkeys(labels, 1)
        for corpus in self.corpora:
            if corpus.guideline.is_complete:
                for sentence in corpus.sentences:
                    for tag in sentence.tags:
                        counts[tag] += 1
        total = sum(counts.values())
        return {SERVING_HEAD: torch.tensor([total / (len(labels) * counts[label]) for label in labels])}

    def train(self) -> None:
        self._resume()
        while self.epoch < self.run.epochs and not self._is_stuck():
            started = time.monotonic()
            loss = self._train_epoch()
            if self.world.rank == 0:
                f1 = self._evaluate()
                self._log(epoch=self.epoch + 1, loss=loss, devel_f1=f1, seconds=time.monotonic() - started)
                if f1 > self.best_f1:
                    self.best_f1, self.best_epoch = f1, self.epoch + 1
                    save_checkpoint(self.network, self.model_config, self.tokenizer, self.out / "best")
            self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
            if self.world.rank == 0:
                self._save_state(self.epoch, self.step)
            self._share_best()

    def _share_best(self) -> None:
        """Rank 0 alone evaluates; the others must stop when it does."""
        if self.world.size > 1:
            best = torch.tensor([self.best_f1, float(self.best_epoch)], dtype=torch.float64, device=self.world.device)
            distributed.broadcast(best, 0)
            self.best_f1, self.best_epoch = float(best[0]), int(best[1])

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
        self.loss_network.train()
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
            if (index + 1) % self.run.log_every == 0:
                self._log(epoch=self.epoch + 1, step=index + 1, loss=recent, lr=self.scheduler.get_last_lr()[0])
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
                    part = self.loss_network(batch.to(self.world.device)) * (self.world.size / weight)
                self.scaler.scale(part).backward()
            loss += part.detach()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.run.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.world.size > 1:
            distributed.all_reduce(loss)
        value = float(loss) / self.world.size
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} in epoch {self.epoch + 1}")
        return value

    def _synchronised(self, last: bool) -> AbstractContextManager[None]:
        if last or not isinstance(self.loss_network, nn.parallel.DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[None] = self.loss_network.no_sync()
        return context

    def _evaluate(self) -> float:
        windower = Windower(self.tokenizer.backend_tokenizer, max_tokens=self.run.max_tokens, overlap=self.run.overlap)
        engine = NerEngine(self.network, device=str(self.world.device), precision="fp32")
        tagger = ModelTagger(self.model_config, windower, engine, self.run.devel.head)
        scores: Any = evaluate_tagger(tagger, self.devel, GUIDELINES[self.run.devel.guideline])
        return float(scores["micro"]["f1"])

    def _log(self, **values: float) -> None:
        if self.world.rank != 0:
            return
        line = {name: round(v, 6) if isinstance(v, float) else v for name, v in values.items()}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        tqdm.write(" ".join(f"{name}={value}" for name, value in line.items()))

    def _save_state(self, epoch: int, step: int) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "epoch": epoch,
            "step": step,
            "loss_sum": self.loss_sum,
            "best_f1": self.best_f1,
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict(),
        }
        torch.save(state, self.out / "last.pt.new")
        os.replace(self.out / "last.pt.new", self.out / "last.pt")

    def _resume(self) -> None:
        path = self.out / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.world.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_f1, self.best_epoch, self.loss_sum = state["best_f1"], state["best_epoch"], state["loss_sum"]
        self.scaler.load_state_dict(state["scaler"])
        if self.world.rank == 0:
            tqdm.write(f"resuming at epoch {self.epoch + 1}, step {self.step}")


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return names[wanted] if wanted != "auto" else names["fp16" if device.type == "cuda" else "fp32"]


def _parameter_groups(network: BertForClinicalNER, run: RunConfig) -> list[dict[str, Any]]:
    """Weight decay for all but biases and LayerNorm; the new heads may learn faster than the encoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if name.endswith(NO_DECAY) or "embeddings" in name else run.weight_decay
        rate = run.head_learning_rate if name.startswith("heads.") and run.head_learning_rate else run.learning_rate
        groups.setdefault((decay, rate), []).append(parameter)
    return [{"params": p, "weight_decay": decay, "lr": rate} for (decay, rate), p in groups.items()]


if __name__ == "__main__":
    typer.run(main)
