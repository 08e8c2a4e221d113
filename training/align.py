"""Words with labels → sub-tokens with labels: the first sub-token carries its word's label."""

from collections.abc import Mapping, Sequence
from typing import Any

IGNORED_LABEL = -100


def tokenize_and_align_labels(
    examples: Mapping[str, Sequence[Sequence[Any]]], tokenizer: Any, max_length: int = 128, *, pad: bool = True
) -> dict[str, list[list[int]]]:
    """Tokenise pre-split words and give each first sub-token the label of its word.

    Args:
        examples: ``tokens``, a list of words an example, and ``tags``, a list of label ids an example.
        tokenizer: a fast tokenizer of transformers.
        max_length: sub-tokens an example, special tokens included; what is beyond is cut.
        pad: pad every example to ``max_length``; otherwise examples keep their own lengths.

    Returns:
        ``input_ids``, ``attention_mask`` and ``labels``, each a list of rows. Special tokens, padding and the further
        sub-tokens of a word have the label -100, which the loss ignores.
    """
    encoded = tokenizer(
        [list(words) for words in examples["tokens"]],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        padding="max_length" if pad else False,
    )
    labels = []
    for row, tags in enumerate(examples["tags"]):
        previous = None
        aligned = []
        for word in encoded.word_ids(batch_index=row):
            aligned.append(IGNORED_LABEL if word is None or word == previous else int(tags[word]))
            previous = word
        labels.append(aligned)
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"], "labels": labels}
