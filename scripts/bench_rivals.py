"""What negspacy and medspaCy say of given concepts; scripts/bench_assertions.py runs this with .venv-bench's Python.

    .venv-bench/bin/python scripts/bench_rivals.py <concepts.jsonl >said.jsonl

Reads a line ``{"sentence", "start", "end"}`` a concept, in characters, and writes a line a line:
``{"negspacy": {"negated"}, "medspacy": {"negated", "historical", "family"}}``. Where ``start`` is below 0 the sentence
lacks the concept, and everything is false.

Each system runs as its package sets it up, with nothing from a model hub. The concept is made the text's only entity
before the first component, so that neither has to find it.
"""

import contextlib
import json
import sys
from typing import Any

# None of these belongs to the environment that checks types. The import of negspacy.negation registers "negex".
import loguru  # type: ignore[import-not-found]
import medspacy  # type: ignore[import-not-found]
import negspacy.negation  # type: ignore[import-not-found]  # noqa: F401
import spacy  # type: ignore[import-not-found]
from negspacy.termsets import termset  # type: ignore[import-not-found]

MEDSPACY_PIPES = {"medspacy_tokenizer", "medspacy_pyrush", "medspacy_context"}


def negspacy_pipeline() -> Any:
    """NegEx with the clinical terms, on spaCy's own tokens and sentences."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    clinical = termset("en_clinical").get_patterns()
    nlp.add_pipe("negex", config={"neg_termset": clinical, "ent_types": [], "chunk_prefix": []})
    return nlp


def medspacy_pipeline() -> Any:
    """``medspacy.load()`` without its target matcher, which finds entities: its tokens, its sentences, its ConText."""
    return medspacy.load(medspacy_enable=MEDSPACY_PIPES)


def concept_in(nlp: Any, row: dict[str, Any]) -> Any:
    """The concept as an entity that the pipeline has been over."""
    doc = nlp.make_doc(row["sentence"])
    doc.set_ents([doc.char_span(row["start"], row["end"], label="CONCEPT", alignment_mode="expand")])
    return nlp(doc).ents[0]


def said_of(row: dict[str, Any], negex: Any, context: Any) -> dict[str, dict[str, bool]]:
    """The answer to one line."""
    said = {"negspacy": {"negated": False}, "medspacy": {"negated": False, "historical": False, "family": False}}
    if row["start"] >= 0:
        said["negspacy"]["negated"] = bool(concept_in(negex, row)._.negex)
        attributes = concept_in(context, row)._
        said["medspacy"] = {name: bool(getattr(attributes, f"is_{name}")) for name in said["medspacy"]}
    return said


def main() -> None:
    """Answer every line of the input, in its order."""
    # PyRuSH, medspaCy's sentence splitter, logs every token of the text, to the terminal where nobody says otherwise.
    loguru.logger.remove()
    # What a package prints while it loads must not stand among the answers.
    with contextlib.redirect_stdout(sys.stderr):
        negex, context = negspacy_pipeline(), medspacy_pipeline()
    for number, line in enumerate(sys.stdin, 1):
        try:
            said = said_of(json.loads(line), negex, context)
        except Exception as error:  # whatever a package raises: its message may quote the text, so the kind has to do
            sys.exit(f"line {number}: {type(error).__name__}")
        print(json.dumps(said))


if __name__ == "__main__":
    main()
