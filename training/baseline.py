"""The dictionary baseline: the longest stretch of words that was an entity in the training data is one again."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clincode.decode import spans_of
from clincode.labels import OUTSIDE
from training.corpora import TaggedSentence
from training.explore import sentences_of


def build_entity_dictionary(dataset: Iterable[Any], label_names: Sequence[str] | None = None) -> dict[str, str]:
    """Surface form, in lower case with single spaces between words → the type that it has most often.

    Args:
        dataset: a training split: tagged sentences, or examples with ``tokens`` and ``tags``.
        label_names: what the tags' ids mean, where they are ids.
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences_of(dataset, label_names):
        for span in spans_of(sentence.tags):
            seen[_form(sentence.words[span.first : span.last + 1])][span.tag] += 1
    # Of types that are equally frequent, the one that came first.
    return {form: max(counts, key=counts.__getitem__) for form, counts in seen.items()}


def dictionary_ner(tokens: Sequence[str], entity_dict: Mapping[str, str], *, longest: int | None = None) -> list[str]:
    """BIO tags by longest match, from left to right.

    ``longest`` is the number of words of the longest form; it is looked for where it is not given.
    """
    if longest is None:
        longest = longest_form(entity_dict)
    tags: list[str] = []
    while len(tags) < len(tokens):
        at = len(tags)
        for size in range(min(longest, len(tokens) - at), 0, -1):
            tag = entity_dict.get(_form(tokens[at : at + size]))
            if tag is not None:
                tags += [f"B-{tag}", *[f"I-{tag}"] * (size - 1)]
                break
        else:
            tags.append(OUTSIDE)
    return tags


def longest_form(entity_dict: Mapping[str, str]) -> int:
    """Words of the longest form; 0 of an empty dictionary."""
    return max((form.count(" ") + 1 for form in entity_dict), default=0)


def _form(words: Sequence[str]) -> str:
    return " ".join(words).lower()


@dataclass(frozen=True, slots=True)
class DictionaryTagger:
    """The baseline as a tagger."""

    entities: Mapping[str, str]

    @classmethod
    def train(cls, sentences: Iterable[TaggedSentence]) -> "DictionaryTagger":
        return cls(build_entity_dictionary(sentences))

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        longest = longest_form(self.entities)
        return [dictionary_ner(words, self.entities, longest=longest) for words in sentences]
