"""What other sentence splitters make of texts; scripts/bench_sentences.py runs this with .venv-bench's Python.

Reads a JSON array of texts; writes ``{"sentences": {splitter: [[[start, end], …], …]}, "seconds": {splitter: s}}``.
Offsets are code points without white space at the ends.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

# None of these belongs to the environment that checks types.
import loguru  # type: ignore[import-not-found]
import PyRuSH  # type: ignore[import-not-found]  # noqa: F401 - registers the component
import pysbd  # type: ignore[import-not-found]
import spacy  # type: ignore[import-not-found]

Split = list[tuple[int, int]]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def splitters() -> dict[str, Callable[[str], Split]]:
    """Each by its package's own defaults."""
    segmenter = pysbd.Segmenter(language="en", clean=False, char_span=True)
    sentencizer, rush = spacy.blank("en"), spacy.blank("en")
    sentencizer.add_pipe("sentencizer")
    rush.add_pipe("medspacy_pyrush")

    def by(nlp: Any) -> Callable[[str], Split]:
        return lambda text: [(s.start_char, s.end_char) for s in nlp(text).sents]

    return {
        "pysbd": lambda text: [(s.start, s.end) for s in segmenter.segment(text)],
        "spaCy sentencizer": by(sentencizer),
        "PyRuSH": by(rush),
    }


def main() -> None:
    loguru.logger.remove()
    texts = json.load(sys.stdin)
    sentences, seconds = {}, {}
    with contextlib.redirect_stdout(sys.stderr):
        for name, split in splitters().items():
            started = time.perf_counter()
            found = [split(text) for text in texts]
            seconds[name] = time.perf_counter() - started
            spans = [[trimmed(t, *pair) for pair in pairs] for t, pairs in zip(texts, found, strict=True)]
            sentences[name] = [[[a, b] for a, b in pairs if a < b] for pairs in spans]
    print(json.dumps({"sentences": sentences, "seconds": seconds}))


if __name__ == "__main__":
    main()
