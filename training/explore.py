"""What a corpus looks like: sizes, lengths, label shares, entity lengths, most frequent forms, in numbers and pictures.

The two functions take a data set as a mapping of split names to tagged sentences, or a data set of the Hugging Face
``datasets`` library with the columns ``tokens`` and ``tags``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clincode.decode import spans_of
from clincode.labels import OUTSIDE
from training.corpora import TaggedSentence
from training.plots import BLUE, canvas, saved

Dataset = Mapping[str, Iterable[Any]]
_TOP = 20


def sentences_of(split: Iterable[Any], label_names: Sequence[str] | None = None) -> list[TaggedSentence]:
    """Tagged sentences of a split; tags given as ids are looked up in ``label_names``."""
    sentences = []
    for example in split:
        if isinstance(example, TaggedSentence):
            sentences.append(example)
            continue
        tags = [label_names[tag] if label_names and isinstance(tag, int) else str(tag) for tag in example["tags"]]
        sentences.append(TaggedSentence(tuple(example["tokens"]), tuple(tags)))
    return sentences


def explore_dataset(dataset: Dataset, label_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Figures of a data set; all but the sizes are of its ``train`` split (or its first).

    Returns:
        ``split_sizes`` (examples a split), ``avg_tokens`` (words an example), ``label_distribution`` (label → count),
        ``entity_percentage`` (share of words that are in an entity, 0 to 100), ``avg_entities`` (an example) and
        ``entity_lengths`` (words → number of entities).
    """
    names = label_names or _feature_names(dataset)
    splits = {name: sentences_of(split, names) for name, split in dataset.items()}
    train = _training_split(splits)
    labels = Counter(tag for sentence in train for tag in sentence.tags)
    words = sum(labels.values())
    entities = [span for sentence in train for span in spans_of(sentence.tags)]
    return {
        "split_sizes": {name: len(sentences) for name, sentences in splits.items()},
        "avg_tokens": words / len(train) if train else 0.0,
        "label_distribution": dict(labels.most_common()),
        "entity_percentage": 100 * (words - labels[OUTSIDE]) / words if words else 0.0,
        "avg_entities": len(entities) / len(train) if train else 0.0,
        "entity_lengths": dict(sorted(Counter(span.last - span.first + 1 for span in entities).items())),
    }


def entity_forms(sentences: Iterable[TaggedSentence]) -> Counter[tuple[str, str]]:
    """``(surface form in lower case, tag)`` → how often."""
    return Counter(
        (" ".join(sentence.words[span.first : span.last + 1]).lower(), span.tag)
        for sentence in sentences
        for span in spans_of(sentence.tags)
    )


def plot_entity_analysis(dataset: Dataset, label_names: Sequence[str] | None = None, out: Path | None = None) -> Any:
    """Four plots of the training split: labels, example lengths, entity lengths by type, most frequent forms.

    Returns the matplotlib figure; written to ``out`` where one is given.
    """
    splits = {name: sentences_of(split, label_names or _feature_names(dataset)) for name, split in dataset.items()}
    train = _training_split(splits)
    figure, ((labels_axis, lengths_axis), (entities_axis, forms_axis)) = canvas(14, 10, rows=2, columns=2)

    counts = Counter(tag for sentence in train for tag in sentence.tags).most_common()
    labels_axis.bar([label for label, _ in counts], [count for _, count in counts], color=BLUE)
    labels_axis.set(title="Words by label (log scale)", ylabel="words", yscale="log")
    labels_axis.tick_params(axis="x", rotation=45)

    lengths = [len(sentence.words) for sentence in train]
    lengths_axis.hist(lengths, bins=min(60, max(lengths, default=1)), color=BLUE)
    lengths_axis.set(title="Words an example", xlabel="words", ylabel="examples")

    by_tag: dict[str, list[int]] = {}
    for sentence in train:
        for span in spans_of(sentence.tags):
            by_tag.setdefault(span.tag, []).append(span.last - span.first + 1)
    longest = min(15, max((max(values) for values in by_tag.values()), default=1))
    bins = [edge - 0.5 for edge in range(1, longest + 2)]
    entities_axis.hist(list(by_tag.values()), bins=bins, label=list(by_tag))
    entities_axis.set(title=f"Words an entity (up to {longest})", xlabel="words", ylabel="entities")
    if by_tag:
        entities_axis.legend()

    forms = entity_forms(train).most_common(_TOP)[::-1]
    forms_axis.barh([f"{form} ({tag})" for (form, tag), _ in forms], [count for _, count in forms], color=BLUE)
    forms_axis.set(title=f"The {_TOP} most frequent entities", xlabel="mentions")
    return saved(figure, out)


def _training_split(splits: Mapping[str, list[TaggedSentence]]) -> list[TaggedSentence]:
    return splits["train"] if "train" in splits else next(iter(splits.values()), [])


def _feature_names(dataset: Dataset) -> Sequence[str] | None:
    """Label names that a ``datasets`` data set carries with its ``tags`` column."""
    features = getattr(next(iter(dataset.values()), None), "features", None)
    feature = getattr(features["tags"], "feature", None) if features else None
    names: Sequence[str] | None = getattr(feature, "names", None)
    return names
