"""What a teacher says of every word of a corpus, on disk: a file a corpus, an array a head, and its encoder's states.

Probabilities are ``(words of the corpus, labels of the head)``, states ``(words, the teacher's hidden size)``, in FP16;
a row of zeros where the teacher's tokenizer dropped the word.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from clincode.types import FloatArray
from training.corpora import CorpusError, TaggedSentence

STATES = "encoder states"
"""The name under which the states stand beside the heads."""


def soft_label_file(folder: Path, corpus: Path) -> Path:
    """Where the probabilities of a corpus stand, the path of the corpus being relative to the data folder."""
    return folder / f"{str(corpus).replace('/', '--')}.safetensors"


def save_soft_labels(folder: Path, corpus: Path, heads: Mapping[str, FloatArray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({head: rows.astype(np.float16) for head, rows in heads.items()}, soft_label_file(folder, corpus))


def load_soft_labels(folder: Path, corpus: Path, sentences: Sequence[TaggedSentence]) -> dict[str, FloatArray]:
    """Probabilities of every head the teacher has, and its states under ``STATES``.

    Raises:
        CorpusError: there are none for this corpus, or it has another number of words than when they were made.
    """
    file = soft_label_file(folder, corpus)
    if not file.exists():
        raise CorpusError(f"{file}: no such file; `python -m training.teach` writes it")
    heads: dict[str, FloatArray] = load_file(file)
    words = sum(len(sentence.words) for sentence in sentences)
    if any(len(rows) != words for rows in heads.values()):
        raise CorpusError(f"{file}: made of another version of {corpus}, which now has {words} words")
    return heads
