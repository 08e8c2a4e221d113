"""The dictionary baseline: the longest stretch of words that was an entity in the training data is one again."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clincode.decode import spans_of
from clincode.labels import OUTSIDE
from training.corpora import TaggedSentence


def build_entity_dictionary(sentences: Iterable[TaggedSentence]) -> dict[tuple[str, ...], str]:
    """Lower-cased words of every annotated mention → the tag that it has most often."""
    seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        for span in spans_of(sentence.tags):
            words = sentence.words[span.first : span.last + 1]
            seen[tuple(word.lower() for word in words)][span.tag] += 1
    return {words: counts.most_common(1)[0][0] for words, counts in seen.items()}


def dictionary_ner(words: Sequence[str], entities: Mapping[tuple[str, ...], str], longest: int) -> list[str]:
    """BIO tags by longest match from left to right; ``longest`` is the number of words of the longest entry."""
    lowered = [word.lower() for word in words]
    tags: list[str] = []
    while len(tags) < len(words):
        at = len(tags)
        for size in range(min(longest, len(words) - at), 0, -1):
            tag = entities.get(tuple(lowered[at : at + size]))
            if tag is not None:
                tags += [f"B-{tag}", *[f"I-{tag}"] * (size - 1)]
                break
        else:
            tags.append(OUTSIDE)
    return tags


@dataclass(frozen=True, slots=True)
class DictionaryTagger:
    """The baseline as a tagger."""

    entities: Mapping[tuple[str, ...], str]

    @classmethod
    def train(cls, sentences: Iterable[TaggedSentence]) -> "DictionaryTagger":
        return cls(build_entity_dictionary(sentences))

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        longest = max((len(words) for words in self.entities), default=0)
        return [dictionary_ner(words, self.entities, longest) for words in sentences]
