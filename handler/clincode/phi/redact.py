"""A note → where its identifiers stand, of the 18 kinds of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)).

What has a form (numbers, dates, addresses) is found by patterns; names also by lists of given names and surnames, and
where a name was found once, its parts are found again. A mask has the shape of what it hides ("Mr. Xxxxx",
"00/00/0000"): offsets hold, and the stages after it read on as before.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from clincode.phi.names import NAME_WORD, PARTICLE, RUN, NameLists, name_at, name_lists, plain, without_possessive
from clincode.phi.patterns import ADDRESS, FACILITY, NAME, default_patterns
from clincode.types import Redaction

_NEXT_NAME = re.compile(rf"(?:[ \t]*[,;/&][ \t]*(?:(?:and|n?or)[ \t]+)?|[ \t]+(?:and|n?or)[ \t]+)(?P<x>{RUN})")
_NAME_BEFORE = re.compile(
    r"(?<![\w'’-])(?P<x>[^\W\d_][\w'’-]{1,40})(?P<link>[ \t]*[,/&][ \t]*|[ \t]+(?:and|n?or)[ \t]+)$"
)
_PARTICLE_GAP = re.compile(rf"[ \t]+{PARTICLE}[ \t]+")
_MONTHS = ("april", "may", "june", "august")
_ARTICLES = ("The", "Our", "At", "To", "In", "From", "A", "An")
_LEFT, _RIGHT, _BEFORE = 12, 24, 60
"""Characters before and after a word that are looked at."""
_OPENS_SENTENCE = re.compile(r"(?:^|[.!?:;]\s+|\n\s*|[-•*]\s+|\d\.\s+|\)\s+)$")
_OPENS_LINE = re.compile(r"(?:\A|\n)[ \t]*$")
_COMPOUND = re.compile(r"[-–/]\w|\w")
_CALLED_AFTER = (
    r"[ \t]+(?:disease|syndrome|signs?|test|scores?|scale|criteria|classification|grade|stage|class|type|index"
    r"|procedure|operation|repair|technique|method|approach|incision|flap|maneuver|manoeuvre|position|reflex|phenomenon|triad|palsy"
    r"|paralysis|chorea|dystrophy|atrophy|ataxia|lymphoma|sarcoma|esophagus|nodes?|bod(?:y|ies)|cells?|duct|gland|canal"
    r"|ligament|formula|equation|questionnaire|inventory|rings?|membranes?|angle|solution|medium|agar|stain(?:ing)?"
)
_CALLED_AFTER_TOO = (
    r"|catheter|tube|drain|stent|valved?|graft|needle|forceps|retractor|clamp|clip|suture|pouch|loop|shunt|splint|brace"
    r"|collar|fracture|an[a]?emia|tumou?r|cyst|nodules?|muscle|nerve|artery|vein|space|virus|fever|bacillus|(?:bio)?prosthes[ie]s"
    r"|implant|system|device|screws?|plates?|nails?|rods?|pins?|wires?|ulcers?|lesions?|spots?|lines?|contractures?"
    r"|thyroiditis|arthropathy|deformity|hernia|buffer|antigen|antibod(?:y|ies)|laborator(?:y|ies)|crystal\w*"
    r"|et[ \t]+al|curves?|analysis|contractions?|protocol|mask|culture|staging|group|methodology|zone|factor"
)
_EPONYM = re.compile(rf"(?:['’]s?)?{_CALLED_AFTER}{_CALLED_AFTER_TOO})\b")
_POSSESSIVE_EPONYM = re.compile(rf"['’]s?{_CALLED_AFTER})\b")
"""What is called after somebody: with a possessive a given name may also be the patient's ("Amelia's fever")."""
_POSSESSIVE = re.compile(r"['’]s?[ \t]+[a-z]")
_ENDS_PHRASE = re.compile(r'[ \t]*(?:[,.;)\n#|"”]|-?>|$)')
_AFTER_WORD = re.compile(r"[a-z],?[ \t]+$")
_FIELD = re.compile(r"\w:[ \t]+$")
_GOES_ON = re.compile(
    r"[ \t]+(?:[a-z]{2,}(?:ed|es|[^us]s|ing)|and|or|at|to|who|whose|on|from|for|in|is|was|has|had|will|would|can|could"
    r"|should|may|might|must|cannot|did|does|came|went|got|gave|saw|took|felt|fell|lost|said|knew|met|ate|made|left|became|began"
    r"|ran|sat|stood|spoke|told|slept|woke|drove|drank|wore|grew|kept|held|heard|found|sent|brought|thought|bought|taught|hurt"
    r"|understood|forgot|chose|wrote|quit|with|about|when|because|if|again|today|tonight|now|here|also|still|never|always"
    r"|just|not|then|that|by|after|before|since|until|as|but|so|Jr|Sr)\b|,[ \t]+(?:who(?:se)?|his|her|their|an?|the"
    r"|please|your?|we|I)\b|[ \t]+\("
)
_LABELS = re.compile(r"[ \t]*(?:[-–—][ \t]|:[ \t]+[a-z])")


def find_identifiers(text: str) -> tuple[Redaction, ...]:
    """All identifiers of a note in the order of the text, without overlaps."""
    lists = name_lists()
    found: Sequence[Redaction] = _merged(list(_by_pattern(text, lists)))
    for more in (_enumerated, _unannounced, _enumerated, _again):
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
    """What a list of names has before and after one that was found: "Amelia, Joseph Okoro and Ruth"."""
    ends = {redaction.end for redaction in found}
    for redaction in found:
        if redaction.category != NAME:
            continue
        end = redaction.end
        while match := _NEXT_NAME.match(text, end):
            start, end = name_at(text, *match.span("x"), "CALLED", lists)
            if start == end or not (lists.may_call(text[start:end]) or len(text[start:end].split()) > 1):
                break
            yield Redaction(start, end, NAME)
            if end in ends:
                break  # found already, and so is what follows it
        start = redaction.start
        in_capitals = text[redaction.start : redaction.end].isupper()
        while match := _NAME_BEFORE.search(text, max(0, start - _BEFORE), start):
            name = match["x"]
            if match.end("x") in ends or not name[0].isupper() or not lists.may_call(name):
                break
            if name.isupper() != (in_capitals and len(name) > 3):
                break
            opens = _OPENS_LINE.search(text, max(0, match.start() - _LEFT), match.start())
            if "," in match["link"] and not (lists.is_listed(name) or opens):
                break
            start = match.start("x")
            yield Redaction(start, match.end("x"), NAME)


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
    gaps = [text[a.end() : b.start()].replace("\t", " ") for a, b in pairwise(words)]
    parts = [word.group() for word in words]
    if not gaps:
        return 0
    first, second = parts[:2]
    if lists.is_kept(first, "generic") and not (plain(first) in _MONTHS and lists.is_sure(second)):
        return 0
    size = 2
    if _EPONYM.match(text, words[1].end()):  # "Miller Fisher syndrome"
        return 0
    if _PARTICLE_GAP.fullmatch(gaps[0]):  # "Maria del Carmen"
        is_one = lists.is_sure(first) and lists.is_given(first) and lists.may_be_name(second)
    elif gaps[0] == ", ":
        is_one = _reversed(first, second, lists)
    elif gaps[0].strip(" ") or len(gaps[0]) > 3:
        is_one = False
    elif len(first.strip(".")) == 1:
        is_one = first.endswith(".") and lists.is_surname(second) and lists.is_sure(second)
    elif len(second.strip(".")) == 1 and len(gaps) > 1 and gaps[1].strip(" .") == "":
        size, is_one = 3, _round_initial(first, second, parts[2], lists)
    else:
        is_one = len(first) > 2 and _go_together(first, second, lists)
    return size if is_one else 0


def _reversed(last: str, first: str, lists: NameLists) -> bool:
    """Whether "STONE, AMELIA" is a name; in capitals one of them may be in no list."""
    if last.isupper() and first.isupper():
        rest = [word for word in (last, first) if not lists.is_name(word)]
        is_one = any(map(lists.is_listed, (last, first))) and max(len(last), len(first)) > 4
        return is_one and all(len(word) > 4 and lists.may_be_name(word) for word in rest)
    return lists.is_sure(last) and lists.is_sure(first) and lists.is_given(first)


def _round_initial(first: str, initial: str, last: str, lists: NameLists) -> bool:
    """Whether words with one letter between them are a name, where one of them may be in no list ("Kiran R. Stone")."""
    known = [lists.is_given(first) and lists.is_listed(first), lists.is_surname(last)]
    unlisted = initial.endswith(".") and any(known) and lists.may_be_name(first) and lists.may_be_name(last)
    return all(known) or unlisted


def _go_together(first: str, second: str, lists: NameLists) -> bool:
    """Whether two words side by side are a given name and a surname, where one of them may be in no list."""
    is_given = lists.is_given(first) and plain(first) not in lists.words
    if not (lists.is_given(first) or lists.is_unknown(first) or lists.is_sure(first)):
        return False
    if lists.is_family_of(first, second):
        return True
    if lists.is_name(second):
        if lists.is_kept(second, "generic") and not is_given:
            return False  # "York Heart"
    elif not lists.is_unknown(second):
        return False
    sure = [lists.is_sure(first) or is_given, lists.is_sure(second)]
    return all(sure) if first.isupper() and second.isupper() else any(sure)


def _stands_alone(text: str, word: re.Match[str], lists: NameLists) -> bool:
    name = word.group()
    is_foreign = not name.isascii() and lists.is_unknown(name)  # "Frédérique": English has few words with accents
    if len(name) < 3 or name.isupper() or lists.is_kept(name) or not (lists.is_name(name) or is_foreign):
        return False
    before = text[max(0, word.start() - _LEFT) : word.start()]
    if not (is_foreign or lists.is_sure(name)) and ("-" in name or not _AFTER_WORD.search(before)):
        return False  # "Brown" may be a colour where it opens a sentence
    after = text[word.end() : word.end() + _RIGHT]
    if _POSSESSIVE.match(after):
        return (_POSSESSIVE_EPONYM if lists.is_given(name) else _EPONYM).match(after) is None
    if _COMPOUND.match(after) or _EPONYM.match(after) or re.search(r"\w[-/]$", before):
        return False
    if _GOES_ON.match(after) or (_OPENS_LINE.search(before) and _LABELS.match(after)):
        return True
    is_inside = _FIELD.search(before) or not _OPENS_SENTENCE.search(before)
    return bool(is_inside) and _ENDS_PHRASE.match(after) is not None


def _again(text: str, found: Sequence[Redaction], lists: NameLists) -> Iterator[Redaction]:
    """The parts of names that were found, wherever they stand again, alone."""
    names = [redaction for redaction in found if redaction.category == NAME]
    parts = {plain(word.group()) for name in names for word in NAME_WORD.finditer(text, name.start, name.end)}
    for word in _words_outside(text, found) if parts else ():
        name = plain(word.group())
        if len(name) < 3 or name not in parts:
            continue
        if _EPONYM.match(text, word.end()):
            continue
        if name in lists.kept["eponym"] and re.match(r"['’ -]?\w|['’]s", text[word.end() : word.end() + 3]):
            continue
        before = text[max(0, word.start() - _LEFT) : word.start()]
        if name in lists.words and (word.group().isupper() or _OPENS_SENTENCE.search(before)):
            continue
        yield Redaction(word.start(), without_possessive(text, word.start(), word.end()), NAME)
