"""The whole classification by words or by the start of a code, for a human coder who picks a code from a list.

Not the linker: that answers a mention with the codes it stands for, or abstains; this lists what has the words. Every
word must be found in a name of the code (title, inclusion term, includes note) or in a title above it: itself, a word
of the same meaning ("renal", "kidney"), or for the last one a word that begins like it. Where no code has them all that
way, words of five letters and more may have one edit. Ranked by BM25 over the code's best name (Robertson and Zaragoza
2009), with more for a name that the query says whole.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from clincode.icd.normalise import canonical_word, words
from clincode.icd.terminology import Terminology, is_group
from clincode.icd.word_index import Bools, Counts, Floats, Ints, Matches, WordIndex

_LONGEST_QUERY = 400
"""Characters; longer than any name of the list."""
_LEAST_TO_EDIT = 5
_CODE = re.compile(r"[A-Za-z][0-9](?:[0-9A-Za-z]?\.?[0-9A-Za-z]{0,4})-?")
_RAW_WORD = re.compile(r"[^\W_]+")

_K1, _B = 1.2, 0.75
# Of the worth of a word: by another that means the same, as a beginning only, with an edit, and where only a title
# above or another name has it.
_ALIKE, _BEGINNING, _EDITED, _ELSEWHERE = 0.8, 0.7, 0.6, 0.35
_WHOLE_TITLE, _WHOLE_TERM, _NEARLY_WHOLE, _BILLABLE = 2.5, 2.0, 1.3, 1.1


@dataclass(frozen=True, slots=True)
class Hit:
    """A code that answers a query.

    ``term`` is the name that the words met, the title where the query is the start of a code. ``children`` is the
    number of what stands directly below, 7th characters included. ``score`` orders the hits of one query, no more.
    """

    code: str
    title: str
    term: str
    billable: bool
    score: float
    children: int


@dataclass(frozen=True, slots=True)
class _Word:
    """A canonical word of the query; ``beginning`` is what a word may also begin with, for the last one alone."""

    text: str
    beginning: str | None

    def among(self, others: frozenset[str]) -> bool:
        return self.text in others or (
            self.beginning is not None and any(other.startswith(self.beginning) for other in others)
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """Where one word of the query is found.

    ``worth`` [names] is 0 where it is not, ``covers`` [names] as in ``Matches``, and ``whole`` [names] is true where it
    is the word itself or one that means the same. ``said`` [codes] is true of codes that have it in a name or in a
    title above, ``completing`` [codes] of those with a 7th character that says it.
    """

    worth: Floats
    covers: Counts
    whole: Bools
    said: Bools
    completing: Bools
    idf: float


class CodeSearch:
    """Searches one release; not changed by use. Built in about two seconds.

    ``synonyms`` are further names of codes (term → code, see ``load_synonyms``); those of unknown codes are left out.
    """

    def __init__(self, terminology: Terminology, synonyms: Mapping[str, str] | None = None) -> None:
        self.terminology = terminology
        base = set(terminology.base_codes())
        self._codes = tuple(code for code in terminology if code in base or is_group(code))
        self._sorted = sorted(base)
        self._also: dict[str, list[str]] = {}
        for term, code in (synonyms or {}).items():
            self._also.setdefault(code, []).append(term)
        names = [self._names(code) for code in self._codes]
        counts = [len(each) for each in names]
        self._first: Ints = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        """[codes + 1]: number of the first name of each code, its title."""
        self._code_of: Ints = np.repeat(np.arange(len(self._codes), dtype=np.int32), counts)
        self._end = self._subtree_ends()
        self._pickable: Bools = np.array([code in base for code in self._codes])
        self._billable: Bools = np.array([terminology.is_billable(code) for code in self._codes])
        self._definitions, self._definition_of = self._seventh()
        self._index = WordIndex(name for each in names for name in each)
        lengths = self._index.lengths
        self._by_length: Floats = (_K1 + 1) / (1 + _K1 * (1 - _B + _B * lengths / max(float(lengths.mean()), 1.0)))

    def search(self, query: str, *, limit: int = 20, billable_only: bool = False) -> tuple[Hit, ...]:
        """Codes for a query, best first; none where it is empty or nothing fits.

        A code or the start of one ("E11.2", "e112", "S52.5-"), a block or a chapter lists it and what is below, 7th
        characters last. Words find codes that a 7th character completes only where they say it ("initial encounter")
        or where ``billable_only`` asks for them; otherwise the code to be completed stands for all of them.
        """
        if limit < 1 or len(query) > _LONGEST_QUERY:
            return ()
        by_code = tuple(islice(self._starting(query, billable_only), limit))
        if by_code:
            return by_code
        asked = _asked(query)
        if not asked:
            return ()
        for near in (False, True):
            hits = tuple(islice(self._ranked(asked, near, billable_only), limit))
            if hits:
                return hits
        return ()

    def _names(self, code: str) -> tuple[str, ...]:
        """The title first. Of groups nothing else: their terms name what is found below them."""
        title = self.terminology.title(code)
        if is_group(code):
            return (title,)
        return (title, *self.terminology.terms(code), *self._also.get(code, ()))

    def _subtree_ends(self) -> Ints:
        """[codes]: the position after the last code below each; what is below a code follows it in the list."""
        position = {code: i for i, code in enumerate(self._codes)}
        ends = list(range(1, len(self._codes) + 1))
        for i in range(len(self._codes) - 1, -1, -1):
            above = self.terminology.parent(self._codes[i])
            if above is not None:
                ends[position[above]] = max(ends[position[above]], ends[i])
        return np.array(ends, dtype=np.int32)

    def _seventh(self) -> tuple[list[dict[str, frozenset[str]]], Ints]:
        """The different sets of 7th characters with each one's words, and [codes] which set a code has (-1: none)."""
        numbers: dict[tuple[tuple[str, str], ...], int] = {}
        of_code = np.full(len(self._codes), -1, dtype=np.int32)
        for i, code in enumerate(self._codes):
            characters = tuple(self.terminology.seventh_characters(code).items())
            if characters:
                of_code[i] = numbers.setdefault(characters, len(numbers))
        return [{character: frozenset(words(said)) for character, said in each} for each in numbers], of_code

    # By code

    def _starting(self, query: str, billable_only: bool) -> Iterator[Hit]:
        for code in self._codes_starting(query):
            billable = self.terminology.is_billable(code)
            if billable or not billable_only:
                yield self._hit(code, self.terminology.title(code), 1.0)

    def _codes_starting(self, query: str) -> Iterator[str]:
        group = find_code(self.terminology, query)
        complete: list[str] = []
        if group is not None and is_group(group):
            place, start = self._codes.index(group), ""
            bases = [code for code in self._codes[place : self._end[place]] if not is_group(code)]
            yield group
        elif _CODE.fullmatch(query.strip()):
            start = _dotted(query)
            bases = self._sorted[bisect_left(self._sorted, start) : bisect_left(self._sorted, start + "~")]
            # "S52.501A" and "S00.00X" go on behind a code that 7th characters complete.
            complete = [start[:size] for size in range(3, len(start))]
        else:
            return
        yield from bases
        for base in (*complete, *bases):
            if self.terminology.seventh_characters(base):
                yield from (code for code in self.terminology.children(base) if code.startswith(start))

    # By words

    def _find(self, word: _Word, *, near: bool) -> _Found:
        """``near`` takes in words with one edit as well."""
        worth = np.zeros(len(self._code_of), dtype=np.float32)
        covers = np.zeros(len(self._code_of), dtype=np.int8)
        whole = np.zeros(len(self._code_of), dtype=np.bool_)
        said = np.zeros(len(self._codes), dtype=np.bool_)
        best = 0.0
        for matches, share in self._matches(word, near=near):
            if len(matches):
                idf = share * float(np.log1p((len(worth) - len(matches) + 0.5) / (len(matches) + 0.5)))
                # What comes later is nearer to the word as it was asked for.
                worth[matches.names] = idf * self._by_length[matches.names]
                covers[matches.names] = matches.covers
                whole[matches.names] = share >= _ALIKE
                said |= self._said(matches)
                best = max(best, idf)
        has = np.array([any(map(word.among, each.values())) for each in self._definitions] + [False])
        return _Found(worth, covers, whole, said, has[self._definition_of], best)

    def _matches(self, word: _Word, *, near: bool) -> Iterator[tuple[Matches, float]]:
        if near and len(word.text) >= _LEAST_TO_EDIT and word.text.isascii() and word.text.isalpha():
            yield self._index.near(word.text, unfinished=word.beginning is not None), _EDITED
        if word.beginning is not None:
            starting = self._index.starting(word.beginning)
            # A plural or another spelling begins like no word of the list; its canonical form does.
            yield starting if len(starting) else self._index.starting(word.text), _BEGINNING
        yield self._index.alike(word.text), _ALIKE
        yield self._index.having(word.text), 1.0

    def _said(self, matches: Matches) -> Bools:
        """[codes]: whether a name of the code or a title above is among the matches."""
        codes = self._code_of[matches.names]
        titled = codes[matches.names == self._first[codes]]
        # A title holds for all that follows it up to the end of its subtree.
        opened = np.bincount(titled, minlength=len(self._codes) + 1)
        closed = np.bincount(self._end[titled], minlength=len(self._codes) + 1)
        said: Bools = np.cumsum(opened - closed)[:-1] > 0
        said[codes] = True
        return said

    def _ranked(self, asked: Sequence[_Word], near: bool, billable_only: bool) -> Iterator[Hit]:
        reached, found = self._pickable, []
        for word in asked:
            found.append(self._find(word, near=near))
            reached = reached & (found[-1].said | found[-1].completing)
            if not reached.any():
                return
        names = np.flatnonzero(reached[self._code_of])
        codes = self._code_of[names]
        scores = self._scores(names, codes, found)
        # Each code by its best name; of equal ones the first.
        order = np.lexsort((names, -scores, codes))
        best = order[np.unique(codes[order], return_index=True)[1]]
        for i in best[np.lexsort((codes[best], -scores[best]))]:
            code = self._codes[codes[i]]
            term = self._names(code)[names[i] - self._first[codes[i]]]
            unsaid = [word for word, each in zip(asked, found, strict=True) if not each.said[codes[i]]]
            yield from self._hits(codes[i], code, term, float(scores[i]), unsaid, billable_only)

    def _scores(self, names: npt.NDArray[np.intp], codes: Ints, found: Sequence[_Found]) -> Floats:
        """BM25 of each of these names with what is found elsewhere, and the boosts; of the shape of ``names``."""
        scores = np.zeros(len(names), dtype=np.float32)
        said = np.ones(len(names), dtype=np.bool_)
        exact = np.ones(len(names), dtype=np.bool_)
        covered = np.zeros(len(names), dtype=np.int32)
        for each in found:
            worth = each.worth[names]
            scores += np.where(worth > 0, worth, _ELSEWHERE * each.idf * each.said[codes])
            said &= worth > 0
            exact &= each.whole[names]
            covered += each.covers[names]
        complete = said & (covered >= self._index.lengths[names])
        is_title = names == self._first[codes]
        boosts = np.where(exact, np.where(is_title, _WHOLE_TITLE, _WHOLE_TERM), _NEARLY_WHOLE)
        scores *= np.where(complete, boosts, 1.0) * np.where(self._billable[codes], _BILLABLE, 1.0)
        return scores

    def _hits(
        self, position: int, code: str, term: str, score: float, unsaid: Sequence[_Word], billable_only: bool
    ) -> Iterator[Hit]:
        """The code, or those of its 7th characters that say the words it does not say itself, or that are billable."""
        if unsaid or (billable_only and not self._billable[position]):
            definition = self._definition_of[position]
            characters = self._definitions[definition] if definition >= 0 else {}
            for completed in self.terminology.children(code) if characters else ():
                if all(word.among(characters[completed[-1]]) for word in unsaid):
                    yield self._hit(completed, term, score)
        else:
            yield self._hit(code, term, score)

    def _hit(self, code: str, term: str, score: float) -> Hit:
        below = len(self.terminology.children(code))
        return Hit(code, self.terminology.title(code), term, self.terminology.is_billable(code), score, below)


def find_code(terminology: Terminology, text: str) -> str | None:
    """The chapter, block or code that a text is, in any case and with or without its dot; none where it is none."""
    plain = " ".join(text.split())
    return next((name for name in (plain.upper(), plain.capitalize(), _dotted(plain)) if name in terminology), None)


def _dotted(text: str) -> str:
    """``s52501a`` → ``S52.501A``; the dash of "E11.2-" says only that there is more below."""
    compact = text.strip().removesuffix("-").replace(".", "").upper()
    return f"{compact[:3]}.{compact[3:]}" if len(compact) > 3 else compact


def _asked(query: str) -> list[_Word]:
    """The query's different words; the last may be unfinished, unless it is a word that says nothing ("of")."""
    canonical = list(dict.fromkeys(words(query)))
    if not canonical:
        return []
    raw = _RAW_WORD.findall(query.lower())
    beginning = raw[-1] if raw and canonical_word(raw[-1]) == canonical[-1] else canonical[-1]
    return [*(_Word(word, None) for word in canonical[:-1]), _Word(canonical[-1], beginning)]
