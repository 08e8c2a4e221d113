"""From the code that a mention names to the one of its family that says what the note says, no more and no less.

The family is the billable codes of the category. Each name of a code asks for words; a word that the note has speaks
for the code, one that it has not speaks against it. Words that tell codes apart by degree (acuity, side, stage) count
only where they stand by the mention: the next diagnosis has its own. Side, trimester and 7th character are then set
by rule.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from clincode.icd.conventions import Conventions
from clincode.icd.defaults import Defaults
from clincode.icd.normalise import words
from clincode.icd.said import Said, meaning
from clincode.icd.sided_titles import Side
from clincode.icd.terminology import Terminology

_FACETS = frozenset(
    words(
        "acute chronic subacute recurrent mild moderate severe profound minimal initial subsequent primary secondary"
        " tertiary first second third fourth open closed displaced nondisplaced upper lower anterior"
        " posterior inferior superior medial lateral proximal distal single multiple complete incomplete partial full"
        " intermittent persistent major minor exacerbation remission relapse new old healed active"
        " inactive sided dominant nondominant"
    )
)
"""Words of degree, which count only where they stand by the mention."""
_LIMB, _END, _HALVES = frozenset(words("limb extremity")), frozenset(words("end")), frozenset(words("upper lower"))
_FREE = frozenset(
    words(
        "unspecified nos type site part organism classified elsewhere other specified disease disorder condition"
        " syndrome skin subcutaneous tissue female male mention encounter episode status cause codes applicable"
        " conditions bone pectoris"
    )
)
_UP_TO_THE_SITE = r"(?:(?! of (?:right|left|bilateral|unspecified)\b)[^,])*"
_FREE_TAIL = re.compile(rf",? ?\b(?:without|not|except|excluding|including|whether)\b{_UP_TO_THE_SITE}", re.IGNORECASE)
_WITHOUT = re.compile(rf"\b(?:without|not)\b({_UP_TO_THE_SITE})", re.IGNORECASE)
_SIDE = re.compile(r"\b(?:right|left|bilateral)\b(?! (?:main|anterior|circumflex|coronary))", re.IGNORECASE)
"""Of a coronary artery it is part of the name."""
_SIDE_TAIL = re.compile(r", (?:right|left|bilateral|unspecified) (?:[a-z]+ ?){1,3}$", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)")
_SYNONYM = re.compile(r"\[([^\]]*)\]")
_EITHER = re.compile(r"([\w'-]+)(?:, ([\w'-]+))* (?:and/or|and|or) ([\w'-]+)", re.IGNORECASE)
_OTHER = re.compile(r"^other\b|\bother specified\b|\bnot elsewhere classified\b|\bother\b", re.IGNORECASE)
_CHOSEN_BY_RULE = frozenset(words("right left bilateral unilateral trimester eye side")) | {"unspecified"}
_SUPPORT_NEAR, _SUPPORT_FAR, _SUPPORT_IMPLIED, _SUPPORT_KNOWN, _AGAINST, _AGAINST_SIDED, _DENIED, _OF_OTHER, _KEEPS = (
    *(1.0, 0.75, 0.4, 1.0, 1.15, 0.3, 0.5, 0.9, 0.1),
)


_NOTHING: frozenset[str] = frozenset()
_SUPPORT_BESIDE, _OF_NOS = 0.9, 0.3
_SUPPORT_GENERAL = 0.8
"""Of a word that another said word implies: "colon" says little beside "cecum"."""
_OF_SIDE = 0.2
"""A code of the side that is said is before one that leaves it open."""
_AGAINST_OTHER_SIDE = 2.3
"""Where no rule chooses the side it makes another disease: right heart failure, however well the rest fits."""
_MOST_OF_DEGREE = 1.0
"""What words of degree may add to a name that has something unsaid: "acute on chronic" does not make it systolic."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Sets of words of which one each must be said, a set of one word being that word.

    ``sided`` are those behind a side (", right ankle and foot"), which notes often leave unsaid; ``denied`` are words
    that the name denies.
    """

    asked: tuple[frozenset[str], ...]
    is_other: bool
    denied: frozenset[str] = frozenset()
    sided: tuple[frozenset[str], ...] = ()
    is_nos: bool = False


@dataclass(slots=True)
class Specifier:
    """Chooses among the codes of a category. Remembers the words of the categories that it has met."""

    terminology: Terminology
    defaults: Defaults
    conventions: Conventions
    _families: dict[str, tuple[tuple[str, tuple[_Name, ...]], ...]] = field(default_factory=dict)

    def refine(self, code: str, said: Said) -> str:
        """The billable code of the same category that fits best what is said; the code itself where none fits
        better."""
        best = self._by_words(code, said)
        return self.by_rule(best, said)

    def by_rule(self, code: str, said: Said) -> str:
        """Side, trimester and 7th character as the note has them; billable for a billable code."""
        conventions = self.conventions
        if conventions.laterality(code) is not None and (side := self._side(code, said)) is not None:
            code = conventions.sided(code, side) or code
        if code.startswith(("O", "Z34")) and said.trimester and conventions.trimester(code) is not None:
            code = conventions.with_trimester(code, said.trimester) or code
        if len(code) == 8 and conventions.encounter(code) is not None:
            wanted = conventions.with_encounter(code, said.encounter, open_=said.open_, healing=said.healing)
            if wanted is None and said.open_:
                wanted = conventions.with_encounter(code, said.encounter, healing=said.healing)
            code = wanted or code
        return self._by_last_character(code, said)

    def _side(self, code: str, said: Said) -> Side | None:
        """The side that is said of the mention, else the one that the note names of the part that the title names."""
        if said.side is not None:
            return said.side
        title = meaning(self.terminology.title(code)) - _FACETS
        return next((side for side, site in said.elsewhere if not title.isdisjoint(site)), None)

    def _by_last_character(self, code: str, said: Said) -> str:
        """The 7th character that says a stage or the like, by its words; the code itself where none is said."""
        above = self.terminology.parent(code)
        siblings = self.terminology.children(above) if above is not None and len(code) == 8 else ()
        if len(siblings) < 2 or self.conventions.encounter(code) is not None or any(len(s) < 8 for s in siblings):
            return code
        near = said.near.union(*said.neighbours)
        common = frozenset.intersection(*(frozenset(_meaningful(self.terminology.title(s))) for s in siblings))
        scores = {
            sibling: sum(
                1.0 if word in near else -0.5
                for word in _meaningful(_FREE_TAIL.sub("", self.terminology.title(sibling)))
                if word not in common
            )
            for sibling in siblings
        }
        best = max(scores, key=scores.__getitem__)
        return best if scores[best] > 0 and scores[best] > scores[code] else code

    def _by_words(self, code: str, said: Said) -> str:
        base = self._base(code)
        family = self._family(base[:3])
        if len(family) < 2:
            return code
        linked = self._asked_words(base)
        scores = [self._score(names, said, linked, is_own=code == base) for code, names in family]
        chosen = self._best(base, [code for code, _ in family], scores, said)
        if chosen == base:
            return code
        if self.conventions.laterality(chosen) == "right" and said.side != "right":
            # It stood for its siblings of either side.
            chosen = self.conventions.sided(chosen, said.side or "unspecified") or chosen
            if self.conventions.laterality(chosen) == "right":
                return code
        return self.defaults[chosen].code

    def _best(self, base: str, codes: Sequence[str], scores: Sequence[float], said: Said) -> str:
        """The code with the best score among those of the side that is said, or of none; ``base`` where none is better.

        Sides are looked at from the best score down, for as long as one can still win: most are never asked for.
        """
        sides = (None, "unspecified", said.side or "right")
        if base not in codes:
            return base
        place = codes.index(base)
        # Of its siblings by side, the one that is said is taken by rule afterwards.
        sided = said.side is not None and self.conventions.laterality(base) is not None
        best, found = scores[place] + (_OF_SIDE if sided else self._of_side(base, said)) + _KEEPS, base
        for i in sorted(range(len(codes)), key=lambda i: (-scores[i], i)):
            if scores[i] + _SUPPORT_NEAR <= best:
                break
            if i != place and self.conventions.laterality(codes[i]) in sides:
                total = scores[i] + self._of_side(codes[i], said)
                if total > best:
                    best, found = total, codes[i]
        return found

    def _of_side(self, code: str, said: Said) -> float:
        """What a side in the title is worth: of codes that a rule tells apart by it little, of others as any word."""
        found = _SIDE.search(self.terminology.title(code))
        if found is None:
            return 0.0
        laterality = self.conventions.laterality(code)
        if laterality is not None:
            return _OF_SIDE if laterality == said.side else 0.0
        return _SUPPORT_NEAR if found.group().lower() in said.near else -_AGAINST_OTHER_SIDE

    def _base(self, code: str) -> str:
        """The code without its 7th character, where it has one."""
        above = self.terminology.parent(code)
        return above if above is not None and self.terminology.seventh_characters(above) else code

    def _score(self, names: tuple[_Name, ...], said: Said, linked: frozenset[str], *, is_own: bool = False) -> float:
        return max((self._fit(name, said, linked, is_own) for name in names), default=-1e9)

    @staticmethod
    def _fit(name: _Name, said: Said, linked: frozenset[str], is_own: bool) -> float:
        total = 0.0 if is_own else -_OF_OTHER if name.is_other else -_OF_NOS if name.is_nos else 0.0
        near = said.near
        # That the linker chose an "other" code is no reason to leave it: only the rest pay for being one.
        beside = _NOTHING.union(*(words for words in said.neighbours if _belongs(words, name, said)))
        against = [(alternatives, _AGAINST) for alternatives in name.asked]
        against += [(alternatives, _AGAINST_SIDED) for alternatives in name.sided]
        known = linked if is_own else linked - _FACETS
        implied = _implied(name, said)
        particular = near - implied
        already = implied & linked - _FACETS  # counts once: what is said in particular counts for more
        is_whole, of_degree = True, 0.0
        for alternatives, cost in against:
            if alternatives <= _FACETS and not near.isdisjoint(alternatives):
                of_degree += _SUPPORT_NEAR
            elif not known.isdisjoint(alternatives):
                if not (particular | beside).isdisjoint(alternatives):
                    total += _SUPPORT_KNOWN
                elif not near.isdisjoint(alternatives):
                    total += _SUPPORT_GENERAL
                elif not already.isdisjoint(alternatives):
                    total, already = total + _SUPPORT_IMPLIED, _NOTHING
            elif not particular.isdisjoint(alternatives):
                total += _SUPPORT_NEAR
            elif not near.isdisjoint(alternatives):
                total += _SUPPORT_GENERAL
            elif not beside.isdisjoint(alternatives):
                total += _SUPPORT_BESIDE
            elif not (said.far - _FACETS).isdisjoint(alternatives):
                total += _SUPPORT_FAR
            elif not implied.isdisjoint(alternatives):
                total += _SUPPORT_IMPLIED if linked.isdisjoint(alternatives) else 0.0
            else:
                total -= cost
                is_whole = is_whole and alternatives <= _FACETS
        total += of_degree if is_whole else min(of_degree, _MOST_OF_DEGREE)
        return total + _DENIED * len(name.denied & said.denied) - _AGAINST * len(name.denied & (near | beside))

    def _asked_words(self, code: str) -> frozenset[str]:
        return frozenset(word for name in self._names(code) for asked in name.asked for word in asked)

    def _family(self, category: str) -> tuple[tuple[str, tuple[_Name, ...]], ...]:
        known = self._families.get(category)
        if known is None:
            known = self._families[category] = tuple(self._members(category))
        return known

    def _members(self, category: str) -> Iterator[tuple[str, tuple[_Name, ...]]]:
        codes = self.terminology.children(category) if category in self.terminology else ()
        waiting = list(reversed(codes))
        if not codes:
            yield category, self._names(category)
        while waiting:
            code = waiting.pop()
            below = self.terminology.children(code)
            if below and len(below[0]) < 8:
                waiting.extend(reversed(below))
            else:
                yield code, self._names(code)

    def _names(self, code: str) -> tuple[_Name, ...]:
        texts = [self.terminology.title(code), *self.terminology.terms(code)]
        return tuple(dict.fromkeys(name for text in texts for name in _forms(text)))


def _belongs(neighbour: frozenset[str], name: _Name, said: Said) -> bool:
    """Whether a name speaks of a neighbouring disease too: "type 2 diabetes with moderate … retinopathy"."""
    own = neighbour - _FACETS - said.mention
    return any(not own.isdisjoint(asked) for asked in name.asked)


def _implied(name: _Name, said: Said) -> frozenset[str]:
    """What is implied. That a part is of the upper limb does not say that it is the upper end of a bone."""
    of_limb = any(not _LIMB.isdisjoint(asked) for asked in (*name.asked, *name.sided))
    return said.implied if of_limb or not said.implied.isdisjoint(_END) else said.implied - _HALVES


def _forms(text: str) -> Iterator[_Name]:
    """A name as it stands and without what is in brackets; tails that only deny are left out."""
    denied = frozenset(_meaningful(" ".join(match[1] for match in _WITHOUT.finditer(text))))
    plain = _FREE_TAIL.sub("", text)
    tail = _SIDE_TAIL.search(plain)
    main = plain[: tail.start()] if tail else plain
    sided = tuple(_asked(tail.group()) if tail else ())
    for form in dict.fromkeys((_BRACKETS.sub(" ", main), _synonym_in_brackets(main))):
        asked = tuple(_asked(form))
        yield _Name(asked, _OTHER.search(text) is not None, denied.difference(*asked), sided, text.endswith(" NOS"))


def _asked(text: str) -> list[frozenset[str]]:
    """Each word that means something once; those that "or" or "and" joins together, of which one is enough."""
    joined = (frozenset(_meaningful(" ".join(match.groups("")))) for match in _EITHER.finditer(text))
    either = [group for group in joined if not group <= _FACETS]  # "acute and chronic" is both
    groups = [next((group for group in either if word in group), frozenset([word])) for word in _meaningful(text)]
    return list(dict.fromkeys(groups))


def _synonym_in_brackets(text: str) -> str:
    """ "Sepsis due to Escherichia coli [E. coli]" → "Sepsis due to E. coli": the synonym in place of as many words
    before it. What stands in parentheses is put in."""
    match = _SYNONYM.search(text)
    if match:
        before = text[: match.start()].split()
        text = " ".join([*before[: len(before) - len(match[1].split())], match[1], text[match.end() :]])
    return text.replace("(", " ").replace(")", " ")


def _meaningful(text: str) -> list[str]:
    return [word for word in meaning(text) if word not in _FREE and word not in _CHOSEN_BY_RULE]
