"""Write a teacher's probabilities for the corpora of a run, for a student to learn from.

    python -m training.teach MODEL config/train/RUN.yaml --data DATA --out SOFT_LABELS

MODEL is any model folder, such as the ``best`` checkpoint of a larger encoder; SOFT_LABELS is what the run's YAML names
as ``soft_labels``. The student learns every head that the teacher has from every corpus, annotated or not.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.model import BertForClinicalNER, NerEngine
from clincode.types import FloatArray
from clincode.windows import Windower
from training.bundle import write_checkpoint
from training.corpora import GUIDELINES, READERS, TaggedSentence
from training.evaluate_ner import ModelTagger
from training.run_config import load_run_config
from training.soft_labels import STATES, save_soft_labels, soft_label_file


def word_labels(
    network: BertForClinicalNER, config: ModelConfig, windower: Windower, sentences: Sequence[TaggedSentence]
) -> dict[str, FloatArray]:
    """Head → probabilities ``(words, labels)``, and ``STATES`` → the encoder's states ``(words, hidden)``; zeros where
    the tokenizer dropped a word."""
    # All heads side by side, and the states themselves as one more, so that the encoder runs once.
    hidden = network.encoder.config.hidden_size
    parts: list[Any] = [network.heads[head] for head in config.heads]
    weights = {
        "weight": torch.cat([*(part.weight for part in parts), torch.eye(hidden)]),
        "bias": torch.cat([*(part.bias for part in parts), torch.zeros(hidden)]),
    }
    together = BertForClinicalNER(len(weights["bias"]), encoder=network.encoder)
    together.heads[SERVING_HEAD].load_state_dict(weights)
    tagger = ModelTagger(config, windower, NerEngine(together))
    rows: dict[str, list[Any]] = {name: [] for name in (*config.heads, STATES)}
    borders = np.cumsum([len(labels) for labels in config.heads.values()])
    for document, note, logits in tagger.read([sentence.words for sentence in sentences]):
        words = [start for start, _ in note.words]
        for name, part in zip(rows, np.split(logits, borders, axis=1), strict=True):
            found = np.zeros((sum(len(sentence) for sentence in document), part.shape[1]), dtype=np.float16)
            found[words] = part if name == STATES else _softmax(part)
            rows[name].append(found)
    return {name: np.concatenate(found) for name, found in rows.items()}


def _softmax(logits: FloatArray) -> FloatArray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: FloatArray = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities


def main(
    model: Annotated[Path, typer.Argument(help="the teacher: any model folder")],
    config: Annotated[Path, typer.Argument(help="the student's run YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="folder of the probabilities; what is there is kept")],
) -> None:
    """Label every corpus of a run with every head of a model."""
    run = load_run_config(config)
    with TemporaryDirectory() as folder:
        write_checkpoint(model, Path(folder))
        teacher = ModelConfig.load(Path(folder))
        network = BertForClinicalNER.load(Path(folder), teacher)
        windower = Windower.load(Path(folder), teacher)
    for corpus in {corpus.path: corpus for corpus in run.corpora}.values():
        if soft_label_file(out, corpus.path).exists():
            typer.echo(f"{corpus.path}: there already")
            continue
        sentences = READERS[corpus.format](data / corpus.path, GUIDELINES[corpus.guideline])
        heads = word_labels(network, teacher, windower, sentences)
        save_soft_labels(out, corpus.path, heads)
        typer.echo(f"{corpus.path}: {len(next(iter(heads.values())))} words")


if __name__ == "__main__":
    typer.run(main)
