"""Go on with an encoder's masked-language pre-training on text of the domain (Gururangan et al. 2020).

    python -m training.pretrain config/pretrain/RUN.yaml --data DATA --out runs/RUN

The run folder holds ``metrics.jsonl``, ``state.pt`` (the same command resumes from it) and ``encoder/``, a folder that
a training run can name as its encoder.
"""

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tqdm import tqdm
from transformers import AutoModelForMaskedLM, AutoTokenizer, get_linear_schedule_with_warmup

from training.corpora import GUIDELINES, documents, read_iob2
from training.encoders import encoder_folder
from training.run_config import read_config

MASKED, KEPT_OF_MASKED = 0.15, 0.1
IGNORED = -100


class TextSource(BaseModel):
    """Text to read: documents (``training.corpora.documents``), or the words of an IOB2 corpus."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: Literal["text", "iob2"]
    guideline: str = "clincode"


class PretrainConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str
    sources: Annotated[list[TextSource], Field(min_length=1)]
    epochs: Annotated[int, Field(ge=1)] = 1
    seed: int = 13
    chunk_tokens: Annotated[int, Field(ge=32, le=512)] = 192
    batch_chunks: Annotated[int, Field(ge=1)] = 12
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 3e-4
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.06
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    checkpoint_every: Annotated[int, Field(ge=1)] = 200


def read_texts(source: TextSource, data: Path) -> Iterator[str]:
    """Documents of a source; a broken line is named by file and number."""
    path = data / source.path
    if source.format == "text":
        yield from documents(path)
    else:
        for sentence in read_iob2(path, GUIDELINES[source.guideline]):
            yield " ".join(sentence.words)


def chunks_of(texts: Sequence[str], tokenizer: Any, size: int) -> list[list[int]]:
    """All texts as one stream of sub-tokens, cut to pieces of ``size`` with the special tokens around each."""
    first, last = tokenizer("")["input_ids"]
    body = size - 2
    stream: list[int] = []
    for text in tqdm(texts, desc="tokenising", unit="text"):
        stream += tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return [[first, *stream[start : start + body], last] for start in range(0, len(stream) - body + 1, body)]


def mask(ids: torch.Tensor, tokenizer: Any, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """15% of the tokens are to be told: 80% of them masked, 10% replaced, 10% left (Devlin et al. 2019, §3.1).

    Returns inputs and labels, both ``(batch, tokens)``; labels are -100 where nothing is asked.
    """
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    asked = (torch.rand(ids.shape, generator=generator) < MASKED) & ~special
    how = torch.rand(ids.shape, generator=generator)
    inputs = ids.clone()
    inputs[asked & (how < 1 - 2 * KEPT_OF_MASKED)] = tokenizer.mask_token_id
    replaced = asked & (how >= 1 - KEPT_OF_MASKED)
    inputs[replaced] = torch.randint(len(tokenizer), (int(replaced.sum()),), generator=generator)
    return inputs, ids.masked_fill(~asked, IGNORED)


def masked_loss(model: Any, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the asked tokens alone: the vocabulary is not scored where nothing is asked."""
    states = model.base_model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).last_hidden_state
    asked = labels != IGNORED
    head = model.cls if hasattr(model, "cls") else model.lm_head
    return nn.functional.cross_entropy(head(states[asked]), labels[asked])


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the run's folder; an unfinished run in it is resumed")],
) -> None:
    """Pre-train on text of the domain."""
    run = read_config(config, PretrainConfig)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    folder = encoder_folder(run.encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForMaskedLM.from_pretrained(folder)
    texts = [text for source in run.sources for text in read_texts(source, data)]
    chunks = chunks_of(texts, tokenizer, run.chunk_tokens)
    steps_an_epoch = len(chunks) // run.batch_chunks
    total = steps_an_epoch * run.epochs
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": run.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=run.learning_rate)
    scheduler = get_linear_schedule_with_warmup(optimizer, round(run.warmup * total), total)
    step = 0
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        step = state["step"]
    model.train()
    recent: list[float] = []
    progress = tqdm(range(step, total), initial=step, total=total, desc="pre-training", unit="step")
    for step in progress:
        # Order and masks follow from seed and step, so that a resumed run goes on as it would have.
        order = random.Random(f"{run.seed}/{step // steps_an_epoch}").sample(range(len(chunks)), len(chunks))
        start = (step % steps_an_epoch) * run.batch_chunks
        ids = torch.tensor([chunks[i] for i in order[start : start + run.batch_chunks]])
        generator = torch.Generator().manual_seed(run.seed * 1_000_003 + step)
        torch.manual_seed(run.seed * 1_000_033 + step)
        loss = masked_loss(model, *mask(ids, tokenizer, generator))
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(float(loss))
        progress.set_postfix(loss=f"{recent[-1]:.3f}")
        if (step + 1) % run.checkpoint_every == 0 or step + 1 == total:
            _save(out, model, tokenizer, optimizer, scheduler, step + 1)
            line = {"step": step + 1, "of": total, "loss": round(sum(recent) / len(recent), 4)}
            recent = []
            with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _save(out: Path, model: Any, tokenizer: Any, optimizer: Any, scheduler: Any, step: int) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "step": step,
    }
    torch.save(state, out / "state.pt.new")
    os.replace(out / "state.pt.new", out / "state.pt")
    model.base_model.save_pretrained(out / "encoder")
    tokenizer.save_pretrained(out / "encoder")


if __name__ == "__main__":
    typer.run(main)
