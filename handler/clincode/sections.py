"""Sentences and sections of a note, with exact offsets.

A line break ends a sentence, except in prose that was wrapped at a fixed width. Headers are recognised as clinicians
write them (capitals on a line of their own, "Header:" at the start of a line) and mapped to canonical names by
``resources/section_headers.tsv``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.types import Sentence

_LINE = re.compile(r"[^\r\n\u2028\u2029\x0b\x0c\x85]+")
_SECTION_NAME = re.compile(r"[A-Z][A-Z_]*")
# "Header:" or a line that is nothing but the header; a number or a bullet may come first.
_HEADER = re.compile(
    r"[ \t]*(?:[-*•#]{1,4}[ \t]*|\d{1,2}[.)][ \t]*)?\**(?P<name>[A-Za-z][A-Za-z /&',()-]{0,60}?)\**[ \t]*(?P<colon>:|$)"
)
# A header in the middle of a line, as flattened reports have them: "… Obtainable ***   REFERRING DIAGNOSIS:  Syncope".
_INLINE_HEADER = re.compile(
    r"(?:[ \t]{2,}|(?<=[.;*}\])])[ \t])(?P<name>[A-Z][A-Za-z]*(?:[ /&-][A-Za-z]+){0,4})[ \t]?:(?=\s|$)"
)
_BULLET = re.compile(r"[ \t]*(?:[-*•–—▪◦]|\d{1,2}[.)](?!\d)|[A-Za-z][.)])[ \t]")
# A full stop, question or exclamation mark, closing quotes or brackets, then white space.
_END = re.compile(r"(?P<mark>[.!?])(?P<close>[\"'”’)\]]*)(?=\s)")
_LAST_WORD = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]+$|\d+$")

_LETTERED = ("vitamin", "hepatitis", "type", "grade", "class", "group", "factor")
_WRAP_WIDTH = 55
"""A shorter line is taken to end where its writer ended it."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header that opens a line; ``end`` is where its colon or the line ends."""

    end: int
    section: str | None


@cache
def header_sections() -> dict[str, str]:
    """Header in lower case → canonical section; raises ``ResourceError`` for a malformed row."""
    sections: dict[str, str] = {}
    for row in load_tsv_resource("section_headers.tsv", ("header", "section")):
        header = row["header"].lower()
        if not _SECTION_NAME.fullmatch(row["section"]):
            raise ResourceError(f"section_headers.tsv: '{row['section']}' is not a canonical section name")
        if header in sections:
            raise ResourceError(f"section_headers.tsv: the header '{header}' stands there twice")
        sections[header] = row["section"]
    return sections


@cache
def abbreviations() -> dict[str, bool]:
    """Abbreviation in lower case, without its last full stop → whether a capital letter after it opens a sentence."""
    rows = load_tsv_resource("sentence_abbreviations.tsv", ("abbreviation", "may_end"))
    bad = [row["abbreviation"] for row in rows if row["may_end"] not in ("yes", "no")]
    if bad:
        raise ResourceError(f"sentence_abbreviations.tsv: may_end of '{bad[0]}' is neither yes nor no")
    return {row["abbreviation"].lower(): row["may_end"] == "yes" for row in rows}


_LONGEST_HEADER = 60


def is_header(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is the header of a section ("HPI:") or a part of the one that opens its line
    ("ASSESSMENT" of "ASSESSMENT AND PLAN:"), and so nothing that a note says."""
    if text[end : end + 2].lstrip(" ").startswith(":") and text[start:end].lower() in header_sections():
        return True
    line, colon = text.rfind("\n", 0, start) + 1, text.find(":", end, end + _LONGEST_HEADER)
    return 0 <= colon - line <= _LONGEST_HEADER and text[line:colon].strip().lower() in header_sections()


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Sentences in order: disjoint, without white space at their ends, covering every other character of ``text``."""
    sentences: list[Sentence] = []
    section: str | None = None
    for block_start, end, header in _with_inline_headers(text, _blocks(text)):
        start = block_start
        if header is not None:
            section = header.section
            sentences += _trimmed(text, start, header.end, section)
            start = header.end
        for piece_start, piece_end in _pieces(text, start, end):
            sentences += _trimmed(text, piece_start, piece_end, section)
    return tuple(sentences)


def _blocks(text: str) -> Iterator[tuple[int, int, Header | None]]:
    """Lines, with wrapped ones joined, and the header that opens each."""
    start: int | None = None
    header: Header | None = None
    previous: re.Match[str] | None = None
    for line in _LINE.finditer(text):
        if not line.group().strip():
            continue
        found = _header(line)
        if start is None or previous is None:
            start, header = line.start(), found
        elif found is not None or not _is_wrapped(text, previous, line):
            yield start, previous.end(), header
            start, header = line.start(), found
        previous = line
    if start is not None and previous is not None:
        yield start, previous.end(), header


def _with_inline_headers(
    text: str, blocks: Iterator[tuple[int, int, Header | None]]
) -> Iterator[tuple[int, int, Header | None]]:
    """The blocks, cut again before each header that stands inside one."""
    sections = header_sections()
    current: str | None = None
    for start, end, header in blocks:
        current = header.section if header else current
        at, own = start, header
        for match in _INLINE_HEADER.finditer(text, header.end if header else start, end):
            section = sections.get(" ".join(match["name"].lower().split()))
            # "Extremities warm. Edema: absent." has a finding there, and no header.
            if section is None and not match["name"].isupper():
                continue
            yield at, match.start("name"), own
            current = section or current
            at, own = match.start("name"), Header(match.end(), current)
        yield at, end, own


def _header(line: re.Match[str]) -> Header | None:
    match = _HEADER.match(line.group())
    if match is None:
        return None
    name = " ".join(match["name"].split())
    section = header_sections().get(name.lower())
    alone = match.end() == len(line.group().rstrip())
    if section is None:
        # An unknown header must look like one in every way; it ends the section before it. Anything less ("COPD:
        # stable", "Fever: none") is a sentence.
        is_header = alone and match["colon"] == ":" and name.isupper() and len(name) > 4
    else:
        is_header = match["colon"] == ":" or (alone and name[0].isupper())
    return Header(line.start() + match.end(), section) if is_header else None


def _is_wrapped(text: str, before: re.Match[str], line: re.Match[str]) -> bool:
    """Whether ``line`` goes on with the sentence of the line before: prose that was broken at a width."""
    gap = text[before.end() : line.start()]
    if gap.count("\n") > 1 or (gap.count("\r") > 1 and "\n" not in gap) or gap.count("\r") > gap.count("\n") > 1:
        return False
    head, tail = before.group().rstrip(), line.group().lstrip()
    if head[-1] == "," and tail[0].islower() and not _BULLET.match(line.group()):
        return True  # a list goes on, however short the line
    if len(head) < _WRAP_WIDTH or _BULLET.match(line.group()) or head[-1] in ".!?:;":
        return False
    return tail[0].islower() or tail[0].isdigit() or tail[0] in "(%" or len(head) >= 70


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a block at the ends of its sentences."""
    begin = start
    for match in _END.finditer(text, start, end):
        if _ends_sentence(text, begin, match, end):
            yield begin, match.end()
            begin = match.end()
    yield begin, end


def _ends_sentence(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    if match["mark"] != ".":
        return True
    after = text[match.end() : min(match.end() + 40, end)].lstrip()
    opens = bool(after) and not after[0].islower()
    last = _LAST_WORD.search(text, max(begin, match.start() - 30), match.start())
    word = last.group().lower() if last else ""
    before = text[begin : match.start() - len(word)].strip()
    if word in abbreviations():
        return abbreviations()[word] and opens and after[0].isupper()
    if not before and (word.isdigit() or len(word) == 1):
        return False  # the number of a list: "1. Asthma", "a. Gout"
    if len(word) == 1 and word.isalpha() and text[match.start() - 1].isupper():
        # An initial ("J. Smith"), unless it belongs to a word before it: "vitamin D. He", "hepatitis C. No".
        return opens and before.lower().endswith(_LETTERED)
    return opens


def _trimmed(text: str, start: int, end: int, section: str | None) -> Iterator[Sentence]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield Sentence(start, end, section)
