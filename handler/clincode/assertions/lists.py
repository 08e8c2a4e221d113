"""Cues that the form of a list gives: the line that opens it, signs, a question and its answer.

"Denies:" above "- fever" and "- cough"; "+ nausea, - vomiting"; "Neck stiffness? No."
"""

import re

from clincode.assertions.cues import Category, ContextRules, Cue, CueMatch, Direction
from clincode.types import Sentence, Span

_ANSWERED = Cue("no", Category.NEGATED, Direction.BACKWARD, None)
_SIGNED = Cue("-", Category.NEGATED, Direction.FORWARD, 0)
_BULLET = re.compile(r"[ \t]*(?:[-*•–]|\d{1,2}[.)])[ \t]+\S")
_NEAR = 120
"""Characters on each side of a mention in which other signs are looked for."""
_LONGEST_LIST = 40
"""Items that a list's first line reaches."""
_ANSWER = re.compile(r"[ \t]*(?P<no>no|none|negative|denies|denied|never)(?=[ \t]*(?:[.;,\r\n]|$))", re.IGNORECASE)
_REPLY = re.compile(rf"{_ANSWER.pattern}|[ \t]*(?:yes|y)\b", re.IGNORECASE)
_MINUS = re.compile(r"(?:^|[\s,;:(/])(?P<minus>[-−–])[ \t]?$")
_PLUS = re.compile(r"(?:^|[\s,;:(/])\+[ \t]?[A-Za-z]")
_ATTACHED_MINUS = re.compile(r"(?:^|[\s,;:(/])[-−–][A-Za-z]")


def of_list_header(text: str, sentence: Sentence, rules: ContextRules) -> list[CueMatch]:
    """Cues of the line that opens the list in which the sentence is an item: "Denies:", then "- fever", "- cough"."""
    line = text.rfind("\n", 0, sentence.start) + 1
    if not _BULLET.match(text, line) or text[line : sentence.start].strip(" \t-*•–0123456789.)"):
        return []
    for _ in range(_LONGEST_LIST):
        end = line - 1
        line = text.rfind("\n", 0, max(0, end)) + 1
        if end <= 0:
            return []
        if not _BULLET.match(text, line):
            header = text[line:end].rstrip()
            matches = rules.matches(text, line, line + len(header)) if header.endswith(":") else []
            return [m for m in matches if m.cue.direction in (Direction.FORWARD, Direction.BOTH)]
    return []


def of_answer(text: str, sentence: Sentence) -> list[CueMatch]:
    """The "no" that answers a sentence that asks: "Neck stiffness? No."."""
    answer = _ANSWER.match(text, sentence.end) if text[sentence.end - 1 : sentence.end] == "?" else None
    return [CueMatch(answer.start("no"), answer.end("no"), _ANSWERED)] if answer else []


def is_asked_and_answered(text: str, sentence: Sentence, match: CueMatch) -> bool:
    """Whether the cue is a question mark that does not stand for doubt, for the answer follows."""
    is_mark = match.end == sentence.end and text[match.start : match.end].strip() == "?"
    return is_mark and _REPLY.match(text, sentence.end) is not None


def sign(text: str, sentence: Sentence, mention: Span) -> CueMatch | None:
    """The minus before a mention in a list of signs: "+ nausea, - vomiting", "-fever -chills"."""
    before = text[max(sentence.start, mention.start - _NEAR) : mention.start]
    if not (found := _MINUS.search(before)):
        return None
    others = before[: found.start("minus")] + text[mention.end : min(sentence.end, mention.end + _NEAR)]
    is_list = _PLUS.search(others) or (found.end("minus") == len(before) and _ATTACHED_MINUS.search(others))
    if not is_list:
        return None
    at = mention.start - len(before) + found.start("minus")
    return CueMatch(at, at + 1, _SIGNED)
