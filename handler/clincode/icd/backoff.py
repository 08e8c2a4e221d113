"""What is left of a mention when it fits nothing as it stands.

Reductions come in the order of what they cost: an aside in parentheses, words that no code is chosen by, the clause
after "due to" or "with", words that codes can turn on, and last everything but the head of the phrase.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.normalise import canonical_word, words

_ASIDE = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
_CLAUSE = re.compile(
    r"\s*(?:,|;|\b(?:due to|secondary to|because of|caused by|induced by|associated with|related to|attributed to"
    r"|consistent with|resulting from|following|after|during|with|without|from|status post|s/p|2/2"
    r"|in the setting of)\b).*$",
    re.IGNORECASE | re.DOTALL,
)
# "heparin-induced", "drug related": the cause and its link, not the disease.
_CAUSE = re.compile(
    r"\b[\w/+-]+[- ](?:induced|related|associated|mediated|elicited|evoked|provoked|triggered)\b[- ]?", re.IGNORECASE
)
_LONGEST = 12
"""Words; a longer mention is no name of a disease, and trying its parts would find chance matches."""


class Reduction(IntEnum):
    """What was taken away; less is nearer to the mention."""

    ASIDE = 0
    WEAK = 1
    CLAUSE = 2
    QUALIFIER = 3
    HEAD = 4


def reductions(mention: str) -> Iterator[tuple[tuple[str, ...], Reduction]]:
    """Canonical words of ever shorter forms of the mention; never the whole mention, never nothing."""
    whole = words(mention)
    seen = {whole, ()}
    for reduced, reduction in _reductions(mention):
        if reduced not in seen:
            seen.add(reduced)
            yield reduced, reduction


def _reductions(mention: str) -> Iterator[tuple[tuple[str, ...], Reduction]]:
    weak, qualifiers = modifiers()
    plain = _ASIDE.sub(" ", mention)
    if plain != mention:
        yield words(plain), Reduction.ASIDE
        for aside in _ASIDE.finditer(mention):
            yield words(aside[1] or aside[2] or ""), Reduction.ASIDE
    whole = words(plain)
    kept = _without(whole, weak)
    yield kept, Reduction.WEAK
    head = words(_CLAUSE.sub("", _CAUSE.sub(" ", plain)))
    kept = _without(head, weak)
    yield head, Reduction.CLAUSE
    yield kept, Reduction.CLAUSE
    if len(kept) > _LONGEST:
        return
    for word in [word for word in kept if word in qualifiers]:
        yield tuple(other for other in kept if other != word), Reduction.QUALIFIER
    kept = _without(kept, qualifiers)
    yield kept, Reduction.QUALIFIER
    # English puts the head last: "steroid responsive nephrotic syndrome". One word alone says too little.
    for start in range(1, len(kept) - 1):
        yield kept[start:], Reduction.HEAD


def _without(canonical: tuple[str, ...], dropped: frozenset[str]) -> tuple[str, ...]:
    return tuple(word for word in canonical if word not in dropped)


@cache
def modifiers() -> tuple[frozenset[str], frozenset[str]]:
    """Canonical words that no code is chosen by, and those on which a code can turn."""
    levels: dict[str, set[str]] = {"1": set(), "2": set()}
    for row in load_tsv_resource("icd_modifiers.tsv", ("word", "level")):
        if row["level"] not in levels:
            raise ResourceError(f"icd_modifiers.tsv: '{row['word']}' has level '{row['level']}', must be 1 or 2")
        levels[row["level"]].update(words(row["word"]) or {canonical_word(row["word"])})
    return frozenset(levels["1"]), frozenset(levels["2"])
