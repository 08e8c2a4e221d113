"""A note → where its identifiers stand, of the 18 kinds of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)).

What has a form (numbers, dates, addresses) is found by patterns; names also by lists of given names and surnames, and
where a name was found once, its parts are found again. A mask has the shape of what it hides ("Mr. Xxxxx",
"00/00/0000"): offsets hold, and the stages after it read on as before.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from clincode.phi.names import NAME_WORD, RUN, NameLists, name_at, name_lists, plain, without_possessive
from clincode.phi.patterns import ADDRESS, FACILITY, NAME, default_patterns
from clincode.types import Redaction

_NEXT_NAME = re.compile(rf"(?:[ \t]*[,;/&][ \t]*(?:and[ \t]+)?|[ \t]+and[ \t]+)(?P<x>{RUN})")
_ARTICLES = ("The", "Our", "At", "To", "In", "From", "A", "An")
_LEFT, _RIGHT = 12, 24
"""Characters before and after a word that are looked at."""
_OPENS_SENTENCE = re.compile(r"(?:^|[.!?:;]\s+|\n\s*|[-•*]\s+|\d\.\s+|\)\s+)$")
_COMPOUND = re.compile(r"['’]s?[ \t]+[a-z]|[-–/]\w|\w")
_ENDS_PHRASE = re.compile(r"[ \t]*[,.;)]")
_GOES_ON = re.compile(
    r"[ \t]+(?:and|or|at|to|who|on|from|for|in|is|was|has|had|will|did|does|would|came|says?|said|feels?|called|lives"
    r"|(?:report|state|present|note|remain|continue|tolerate|receive|agree|understand|return|complain|describe|endorse"
    r"|appear|admit)(?:s|d|ed|ted)?|denies|denied|underwent|arrived)\b"
)


def find_identifiers(text: str) -> tuple[Redaction, ...]:
    """All identifiers of a note in the order of the text, without overlaps."""
    lists = name_lists()
    found: Sequence[Redaction] = _merged(list(_by_pattern(text, lists)))
    for more in (_enumerated, _unannounced, _again):
        found = _merged([*found, *more(text, found, lists)])
    return tuple(found)


def masked(text: str, redactions: Sequence[Redaction]) -> str:
    """The note with its identifiers hidden, character for character: letters become x or X, digits 0."""
    parts, at = [], 0
    for redaction in redactions:
        parts += [text[at : redaction.start], _mask(text[redaction.start : redaction.end])]
        at = redaction.end
    return "".join([*parts, text[at:]])


def _mask(identifier: str) -> str:
    return "".join(
        "0" if char.isdigit() else char if not char.isalpha() else "X" if char.isupper() else "x" for char in identifier
    )


def _merged(found: Sequence[Redaction]) -> list[Redaction]:
    """What overlaps is joined, under the category of the longest part: nothing that was found stays readable."""
    merged: list[tuple[int, int, Redaction]] = []
    for redaction in sorted(found, key=lambda r: (r.start, -r.end)):
        if merged and redaction.start < merged[-1][1]:
            start, end, longest = merged[-1]
            if redaction.end - redaction.start > longest.end - longest.start:
                longest = redaction
            merged[-1] = (start, max(end, redaction.end), longest)
        else:
            merged.append((redaction.start, redaction.end, redaction))
    return [Redaction(start, end, longest.category) for start, end, longest in merged]


def _by_pattern(text: str, lists: NameLists) -> Iterator[Redaction]:
    for pattern in default_patterns():
        for span in pattern.spans(text):
            start, end = span
            if pattern.shape is not None:
                start, end = name_at(text, *span, pattern.shape, lists)
            elif pattern.category == FACILITY:
                start, end = _facility(text, *span, lists)
            elif pattern.category == ADDRESS and _is_country(text[start:end], lists):
                continue
            if start < end:
                yield Redaction(start, end, pattern.category)


def _facility(text: str, start: int, end: int, lists: NameLists) -> tuple[int, int]:
    """A facility is one by its name: some word of it is not generic ("the Wound Clinic" may be anywhere)."""
    words = list(re.finditer(r"[\w'’&-]+", text[start:end]))
    while words and words[0].group() in _ARTICLES:
        words.pop(0)
    if any(word.group()[0].isupper() and not lists.is_kept(word.group(), "generic") for word in words):
        return start + words[0].start(), end
    return start, start


def _is_country(place: str, lists: NameLists) -> bool:
    """What is larger than a state may stay."""
    return all(lists.is_kept(word, "place") for word in place.split())


def _enumerated(text: str, found: Sequence[Redaction], lists: NameLists) -> Iterator[Redaction]:
    """What goes on with a list of names: "cc: Amelia Stone, Joseph Okoro and Ruth Lim"."""
    for redaction in found:
        end = redaction.end
        while redaction.category == NAME and (match := _NEXT_NAME.match(text, end)):
            start, end = name_at(text, *match.span("x"), NAME, lists)
            if len(text[start:end].split()) < 2 and not lists.is_sure(text[start:end]):
                break
            yield Redaction(start, end, NAME)


def _unannounced(text: str, found: Sequence[Redaction], lists: NameLists) -> Iterator[Redaction]:
    """Names that nothing announces: a given name and a surname side by side or round a comma, an initial and a surname,
    or a name alone that is no word."""
    words = _words_outside(text, found)
    for index, word in enumerate(words):
        size = _name_of_several(text, words[index : index + 3], lists)
        if size or _stands_alone(text, word, lists):
            last = words[index + max(size, 1) - 1]
            yield Redaction(word.start(), without_possessive(text, word.start(), last.end()), NAME)


def _words_outside(text: str, found: Sequence[Redaction]) -> list[re.Match[str]]:
    starts = [redaction.start for redaction in found]

    def is_inside(at: int) -> bool:
        index = bisect_right(starts, at) - 1
        return index >= 0 and at < found[index].end

    return [word for word in NAME_WORD.finditer(text) if not is_inside(word.start())]


def _name_of_several(text: str, words: Sequence[re.Match[str]], lists: NameLists) -> int:
    """How many of up to three words from the first on are a full name; 0 where they are none."""
    gaps = [text[a.end() : b.start()] for a, b in pairwise(words)]
    parts = [word.group() for word in words]
    if not gaps or len(gaps[0]) > 3 or lists.is_kept(parts[0], "generic"):
        return 0
    first, second = parts[:2]
    sure = [lists.is_sure(first), lists.is_sure(second)]
    opens = lists.is_given(first) or lists.is_unknown(first) or sure[0]
    middle = len(second.strip(".")) == 1 and len(gaps) > 1 and gaps[1].strip(" .") == ""
    if len(first.strip(".")) == 1:
        return 2 if gaps[0].strip(" \t") == "" and first.endswith(".") and lists.is_surname(second) and sure[1] else 0
    if gaps[0] == ", ":
        return 2 if all(sure) and lists.is_given(second) else 0
    if gaps[0].strip(" \t") or len(first) <= 2 or not opens:
        return 0
    if middle:
        return 3 if lists.is_given(first) and lists.is_surname(parts[2]) else 0
    fits = lists.is_name(second) or lists.is_unknown(second)
    return 2 if fits and (all(sure) if first.isupper() and second.isupper() else any(sure)) else 0


def _stands_alone(text: str, word: re.Match[str], lists: NameLists) -> bool:
    name = word.group()
    if len(name) < 4 or name.isupper() or not lists.is_sure(name) or lists.is_kept(name):
        return False
    before = text[max(0, word.start() - _LEFT) : word.start()]
    after = text[word.end() : word.end() + _RIGHT]
    if _COMPOUND.match(after) or re.search(r"\w[-/]$", before):
        return False  # an eponym ("Kehr's sign"), or part of a compound
    if _GOES_ON.match(after):
        return True
    return _ENDS_PHRASE.match(after) is not None and not _OPENS_SENTENCE.search(before)


def _again(text: str, found: Sequence[Redaction], lists: NameLists) -> Iterator[Redaction]:
    """The parts of names that were found, wherever they stand again, alone."""
    names = [redaction for redaction in found if redaction.category == NAME]
    parts = {plain(word.group()) for name in names for word in NAME_WORD.finditer(text, name.start, name.end)}
    for word in _words_outside(text, found) if parts else ():
        name = plain(word.group())
        if len(name) < 3 or name not in parts:
            continue
        if name in lists.kept["eponym"] and re.match(r"['’ -]?\w|['’]s", text[word.end() : word.end() + 3]):
            continue
        before = text[max(0, word.start() - _LEFT) : word.start()]
        if name in lists.words and (word.group().isupper() or _OPENS_SENTENCE.search(before)):
            continue
        yield Redaction(word.start(), without_possessive(text, word.start(), word.end()), NAME)
