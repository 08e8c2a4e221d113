"""The senses of abbreviations, each chosen where it stands.

Senses and the words that speak for them are data (``resources/abbreviations.tsv``). What a note itself defines
("multiple sclerosis (MS)", found as Schwartz and Hearst 2003 do) decides. Otherwise each sense has a score: the
logarithm of how common it is, and evidence from the words around, the rest of the note and the type that the model
gave the mention. Confidence is the softmax of the scores; where no sense is clearly ahead there is none.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.types import Sentence, Span

ABBREVIATIONS_FILE = "abbreviations.tsv"

NEAR_WORDS = 12
"""Words on each side that count as near."""
NEAR, SENTENCE, BESIDE, NOTE, TYPE = 1.6, 1.1, 0.7, 0.35, 1.0
"""Evidence of a clue: near in the sentence, farther off in it, near in the next one, elsewhere in the note; and of the
type that the model gave."""
MOST_NOTE_CLUES = 4
_FAR = 160
"""Characters on each side in which the near words are looked for."""
_FARTHEST = 480
"""Characters of its sentence on each side; it keeps a sentence of nothing but abbreviations from taking for ever."""
UNSURE = 0.6
"""Below this confidence no sense is given."""
SURE = 0.75
"""Confidence from which a sense changes what the model found."""
SOLE = 0.95
"""Confidence in a sense that has no rival."""

_FORM = re.compile(r"(?<![\w/&-])[A-Za-z0-9][A-Za-z0-9&/-]*[A-Za-z0-9](?![\w&]|[-/][A-Za-z])")
_DEFINED = re.compile(r"\(\s*([A-Za-z][A-Za-z0-9&/-]{1,9})s?\s*\)")
_WORDS = frozenset({"ALL", "AS", "HIT", "CAP", "US", "LA", "HA", "DOE", "PAD", "MAC", "PEG", "TEN", "CAD", "ROM"})
"""Also words, where a sentence is all in capitals."""
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*|[%#<>@]")


@dataclass(frozen=True, slots=True)
class Sense:
    """``type`` is None where the sense is no entity ("mental status"); ``clues`` are in lower case."""

    expansion: str
    type: EntityType | None
    prior: float
    clues: frozenset[str]


@dataclass(frozen=True, slots=True)
class AbbreviationUse:
    """An abbreviation where it stands, and its sense there."""

    start: int
    end: int
    sense: Sense
    confidence: float


def parse_senses(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[Sense, ...]]:
    """Abbreviation → its senses.

    Raises:
        ResourceError: names the row whose type or prior is none, or that stands there twice.
    """
    table: dict[str, tuple[Sense, ...]] = {}
    for row in rows:
        form, expansion = row["abbreviation"], row["sense"]
        place = f"{ABBREVIATIONS_FILE}: '{form}' as '{expansion}'"
        if row["type"] and row["type"] not in EntityType.__members__:
            raise ResourceError(f"{place} has the unknown type '{row['type']}'")
        try:
            prior = float(row["prior"])
        except ValueError:
            prior = 0.0
        if not prior > 0 or not form or not expansion:
            raise ResourceError(f"{place} needs an abbreviation, a sense and a prior above 0")
        if any(sense.expansion == expansion for sense in table.get(form, ())):
            raise ResourceError(f"{place} stands there twice")
        clues = frozenset(clue.strip().lower() for clue in row["clues"].split("|") if clue.strip())
        sense = Sense(expansion, EntityType[row["type"]] if row["type"] else None, prior, clues)
        table[form] = (*table.get(form, ()), sense)
    return table


@cache
def default_senses() -> dict[str, tuple[Sense, ...]]:
    return parse_senses(load_tsv_resource(ABBREVIATIONS_FILE, ("abbreviation", "sense", "type", "prior", "clues")))


def resolve_abbreviations(
    text: str, sentences: Sequence[Sentence], spans: Sequence[Span] = ()
) -> tuple[AbbreviationUse, ...]:
    """Every abbreviation of the note whose sense is clear, in the order of the text.

    ``spans`` are the model's; the type of one that holds the abbreviation speaks for senses of that type.
    """
    table = default_senses()
    defined = local_definitions(text)
    starts = [sentence.start for sentence in sentences]
    by_start = sorted(spans, key=lambda span: span.start)
    span_starts = [span.start for span in by_start]
    note_words: frozenset[str] | None = None
    uses = []
    for match in _FORM.finditer(text):
        form = match.group()
        if form not in table and form not in defined:
            continue
        if note_words is None:
            note_words = _clue_words(text)
        at = bisect_right(span_starts, match.start()) - 1
        holder = by_start[at] if at >= 0 and match.end() <= by_start[at].end else None
        index = bisect_right(starts, match.start()) - 1
        sentence = sentences[index] if index >= 0 else Sentence(0, len(text))
        senses = table.get(form, ())
        if form in _WORDS and _is_shouted(text[sentence.start : sentence.end]):
            continue
        if form in defined:
            chosen, confidence = _as_defined(defined[form], senses, holder), 1.0
        elif len(senses) == 1:
            chosen, confidence = senses[0], SOLE
        else:
            chosen, confidence = _best(text, match, sentence, senses, holder, note_words)
        if confidence >= UNSURE:
            uses.append(AbbreviationUse(match.start(), match.end(), chosen, confidence))
    return tuple(uses)


def with_senses(spans: Sequence[Span], uses: Sequence[AbbreviationUse]) -> list[Span]:
    """The model's spans, set right by clear senses, in the order of the text: an abbreviation that the model missed is
    added, one of another type gets that of its sense, and one whose sense is no entity goes."""
    exact = {(use.start, use.end): use for use in uses if use.confidence >= SURE}
    kept = []
    for span in spans:
        use = exact.get((span.start, span.end))
        if use is None or use.sense.type is span.type:
            kept.append(span)
        elif use.sense.type is not None:
            kept.append(replace(span, type=use.sense.type))
    taken = sorted((span.start, span.end) for span in spans)
    for use in exact.values():
        index = bisect_right(taken, (use.end,)) - 1
        is_free = index < 0 or taken[index][1] <= use.start
        if is_free and use.sense.type is not None:
            kept.append(Span(use.start, use.end, use.sense.type, use.confidence))
    return sorted(kept, key=lambda span: span.start)


def expanded(text: str, span: Span, uses: Sequence[AbbreviationUse]) -> tuple[str, str | None]:
    """The mention with its abbreviations written out, and the sense of the one in it (None without or with several)."""
    inside = [use for use in uses if span.start <= use.start and use.end <= span.end]
    parts, at = [], span.start
    for use in inside:
        parts += [text[at : use.start], use.sense.expansion]
        at = use.end
    return "".join([*parts, text[at : span.end]]), inside[0].sense.expansion if len(inside) == 1 else None


def local_definitions(text: str) -> dict[str, str]:
    """Abbreviation → long form in lower case, where the note has the short one in brackets after the long."""
    found: dict[str, str] = {}
    for match in _DEFINED.finditer(text):
        short = match[1]
        if not any(char.isupper() for char in short):
            continue
        start = max(0, match.start() - 12 * len(short))
        words = text[start : match.start()].rpartition("\n")[2].rstrip()
        long = _long_form(short, words)
        if long and short not in found:
            found[short] = " ".join(long.lower().split())
    return found


def _long_form(short: str, before: str) -> str | None:
    """The shortest run of words at the end of ``before`` in which the letters of ``short`` stand in order, the first
    at the beginning of a word (Schwartz and Hearst 2003)."""
    letters = [char.lower() for char in short if char.isalnum()]
    at = len(before) - 1
    for index in range(len(letters) - 1, -1, -1):
        while at >= 0 and (
            before[at].lower() != letters[index] or (index == 0 and at > 0 and before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
        at -= 1
    long = before[at + 1 :]
    words = long.split()
    return long if len(words) > 1 and len(words) <= min(len(letters) + 5, len(letters) * 2) else None


def _as_defined(expansion: str, senses: Sequence[Sense], holder: Span | None) -> Sense:
    known = next((sense for sense in senses if sense.expansion == expansion), None)
    return known or Sense(expansion, holder.type if holder else None, 1.0, frozenset())


def _best(
    text: str,
    match: re.Match[str],
    sentence: Sentence,
    senses: Sequence[Sense],
    holder: Span | None,
    note_words: frozenset[str],
) -> tuple[Sense, float]:
    left, right = text[max(0, match.start() - _FAR) : match.start()], text[match.end() : match.end() + _FAR]
    before, after = list(_WORD.finditer(left)), list(_WORD.finditer(right))
    near = _runs(before[-NEAR_WORDS:]) | _runs(after[:NEAR_WORDS])
    first, last = max(sentence.start, match.start() - _FARTHEST), min(sentence.end, match.end() + _FARTHEST)
    own = _clue_words(text[first : match.start()]) | _clue_words(text[match.end() : last])
    # A clue of several senses tells nothing between them.
    shared = frozenset(clue for sense in senses for clue in sense.clues if sum(clue in s.clues for s in senses) > 1)
    scores = []
    for sense in senses:
        clues = sense.clues - shared
        score = math.log(sense.prior)
        score += NEAR * len(clues & near & own) + SENTENCE * len((clues & own) - near)
        score += BESIDE * len((clues & near) - own)
        score += NOTE * min(MOST_NOTE_CLUES, len((clues & note_words) - near - own))
        score += TYPE if holder is not None and holder.type is sense.type else 0.0
        scores.append(score)
    highest = max(scores)
    confidence = 1 / sum(math.exp(score - highest) for score in scores)
    return senses[scores.index(highest)], confidence


def _is_shouted(sentence: str) -> bool:
    letters = [char for char in sentence if char.isalpha()]
    return len(letters) > 20 and sum(map(str.isupper, letters)) > 0.7 * len(letters)


def _clue_words(text: str) -> frozenset[str]:
    """Words, and runs of two and three of them, in lower case."""
    return _runs(list(_WORD.finditer(text)))


def _runs(matches: Sequence[re.Match[str]]) -> frozenset[str]:
    words = [match.group().lower() for match in matches]
    runs = (" ".join(words[i : i + size]) for size in (1, 2, 3) for i in range(len(words) - size + 1))
    return frozenset(runs)
