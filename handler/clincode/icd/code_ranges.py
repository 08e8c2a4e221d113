"""The codes that a note of the tabular list names, as people write them.

"(E08.-)", "(O10-O11, O13-O16)", "(E08-E13 with .51-.52)", "(T36-T50 with fifth or sixth character 5)".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from clincode.icd.terminology import is_group

_CATEGORY = r"[A-Z](?:\d[0-9A-Z]|[A-Z]\d)"
_CODE = rf"(?<![0-9A-Za-z]){_CATEGORY}(?:\.[0-9A-Z]{{1,4}})?(?![0-9A-Za-z])"
_REFERENCE = re.compile(rf"({_CODE})(?:(?:\.?[-\s]*-[-\s]*|\.?-*\s+to\s+)({_CODE}))?")
_BRACKETED = re.compile(r"\(([^()]*)(?:\)|$)")
# "code, if applicable, for codes G31.0-G31.83, to identify": the codes that the note is for, not those that it names.
_ADDRESSEES = re.compile(r"\bfor codes [^:]*")
# Categories that stand elsewhere in the list than the alphabet has them, and after which they stand.
_PLACES = {"C4A": "43A", "C7A": "75A", "C7B": "75B", "D3A": "36A", "M1A": "08A", "Z3A": "36A"}
_ORDINALS = {"5th": 4, "fifth": 4, "sixth": 5, "7th": 6, "seventh": 6}


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Codes that a note names: from ``first`` to ``last``, both with everything below them; one code where they agree.

    ``tail`` is a regular expression that the code without its dot must begin with besides; empty for none.
    """

    first: str
    last: str
    tail: str = ""

    def holds(self, code: str) -> bool:
        """Whether a code is among them, in the order of the tabular list; never true of blocks and chapters."""
        if not self.first[0] <= code[0] <= self.last[0] or is_group(code):
            return False
        if not _place(self.first) <= _place(code) or not _place(code[: len(self.last)]) <= _place(self.last):
            return False
        return not self.tail or re.match(self.tail, code.replace(".", "")) is not None


Note = tuple[str, tuple[CodeRange, ...]]
"""A note's text and the codes that it names."""


def references(note: str) -> tuple[CodeRange, ...]:
    """The codes that a note names, in its order: those in brackets, or where it has none there, those in its words.

    Empty for a note that names none. A condition that the note puts on the last digits holds for all codes that stand
    in the same brackets; "with fifth or sixth character" is the last one that is no placeholder X.
    """
    found = []
    for bracketed in _BRACKETED.finditer(note):
        rest = note[bracketed.end() :]
        found += _ranges(bracketed[1], rest if rest.startswith(" with") else "")
    return tuple(found or _ranges(_ADDRESSEES.sub("", note), ""))


def _ranges(text: str, behind: str) -> list[CodeRange]:
    tail = _tail(f"{text} {behind}")
    return [CodeRange(match[1], match[2] or match[1], tail) for match in _REFERENCE.finditer(text)]


def _tail(text: str) -> str:
    """The condition on a code's last digits as a regular expression for the code without its dot; "" for none."""
    text = text.replace(".-with", " with")
    for pattern, expression in _TAILS:
        if match := pattern.search(text):
            return expression(match)
    return ""


def _one_of(first: str, last: str | None) -> str:
    """Anything from one ending to another that differs in its last character: ``51``, ``52`` → ``5[1-2]``."""
    return f"{first[:-1]}[{first[-1]}-{last[-1]}]" if last else first


def _intent(match: re.Match[str]) -> str:
    """The sixth character of a code for poisoning says the intent, or the fifth where the sixth is a placeholder."""
    characters = _one_of(match[1], match[2])
    return f"....(?:.{characters}|{characters}(?:X|$))"


_TAILS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"with ketoacidosis"), lambda _: "...1"),
    (re.compile(r"with open fracture 7th character"), lambda _: "......[BCEFHJMNQR]"),
    (re.compile(r"with final characters -?(\w+)"), lambda match: f".*{match[1]}$"),
    (re.compile(r"with fifth or six(?:th)? character (\d)(?:-(\d))?"), _intent),
    (re.compile(r"with fifth to sixth characters (\w\w)"), lambda match: f"....{match[1]}"),
    (
        re.compile(rf"with ({'|'.join(_ORDINALS)})[ -]character \.?(\w)(?:-(\w))?"),
        lambda match: "." * _ORDINALS[match[1]] + _one_of(match[2], match[3]),
    ),
    (re.compile(r"with \.(\w+)(?:-\.(\w+))?"), lambda match: "..." + _one_of(match[1], match[2])),
)


def _place(code: str) -> tuple[str, str, str]:
    """Sorts codes as the tabular list does."""
    return code[0], _PLACES.get(code[:3], code[1:3]), code[3:]
