"""One HTML page on how whole notes are coded: figures, what is missed and why, chapters, the codes that go wrong most.

The page needs nothing beside it: pictures are embedded. It holds no text of the notes unless examples are asked for,
and then no more than the mentions.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clincode.icd import Terminology
from training.evaluate_coding import Cause, Scored, missed
from training.ner_report import Section
from training.plots import BLUE, canvas, inline_png, plot_causes

CODES_SHOWN = 30
MENTIONS_A_CODE = 3
UNKNOWN_CHAPTER = "not in the loaded year"
_LIGHT = "#b8c4d0"
_RANGE = re.compile(r"\s*\((?P<codes>[A-Z][A-Z0-9]{2}-[A-Z][A-Z0-9]{2})\)$")

_MEANING: Mapping[Cause, str] = {
    Cause.NOT_IN_YEAR: "The list of the loaded year has no such code: coders used another.",
    Cause.CONTEXT: "A mention leads to it, but is taken for denied, possible, past or another person's.",
    Cause.UNSURE: "A mention has it as its first suggestion, which is too unsure or not of the kind that coders take.",
    Cause.CANDIDATE: "A mention suggests it, but another code first.",
    Cause.SIBLING: "The list has another code of its category.",
    Cause.MISSED: "A sentence has the words of one of its names, but no mention leads there.",
    Cause.ABSENT: "No sentence has the words of any of its names: it is implied, or said otherwise.",
}


@dataclass(frozen=True, slots=True)
class Gain:
    """Gold codes that were missed for one cause, and micro F1 if all of them stood on the lists too."""

    cause: Cause
    count: int
    code_f1: float
    category_f1: float


@dataclass(slots=True)
class ChapterCounts:
    """Codes of one chapter that coders gave, that the lists have, and that both do."""

    title: str
    gold: int = 0
    given: int = 0
    hits: int = 0

    @property
    def precision(self) -> float | None:
        return self.hits / self.given if self.given else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.gold if self.gold else None


@dataclass(slots=True)
class CodeCounts:
    """How often a code went wrong, of how many times it was given (or wanted); why; and the mentions that led to it."""

    code: str
    title: str
    wrong: int = 0
    of: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    mentions: Counter[str] = field(default_factory=Counter)

    @property
    def cause(self) -> str:
        """The most frequent one; of equals the first in the alphabet."""
        return min(self.causes, key=lambda cause: (-self.causes[cause], cause), default="")

    @property
    def examples(self) -> list[str]:
        return sorted(self.mentions, key=lambda mention: (-self.mentions[mention], mention))[:MENTIONS_A_CODE]


def write_coding_report(
    scored: Sequence[Scored],
    figures: Mapping[str, Any],
    terminology: Terminology,
    out: Path,
    *,
    examples: bool = False,
) -> None:
    """Write the page on ``scored`` notes, whose ``figures`` are as ``coding_figures`` gives them.

    With ``examples``, the codes that go wrong have mentions beside them: THE PAGE THEN HOLDS WORDS OF THE NOTES.

    Raises:
        ValueError: where the packages that draw and write are not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader
    except ModuleNotFoundError:
        raise ValueError("the report needs jinja2: pip install 'clincode[reports]'") from None
    found = gains(scored, terminology)
    chapters = by_chapter(scored, terminology)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    html = environment.get_template("coding_report.html").render(
        release=terminology.release,
        figures=figures,
        levels=("code", "category"),
        not_in_year=figures["not_in_year"] / max(figures["gold"], 1),
        sections=[_causes_section(found, most_to_gain(found, figures)), _chapters_section(chapters)],
        tables=[
            (
                "Most frequent false codes",
                "Codes of the lists that coders did not give.",
                ("false", "given"),
                false_codes(scored, terminology)[:CODES_SHOWN],
            ),
            (
                "Most frequent missed codes",
                "Codes that coders gave and the lists do not have, with the cause that is the most frequent of each.",
                ("missed", "gold"),
                missed_codes(scored, terminology)[:CODES_SHOWN],
            ),
        ],
        examples=examples,
    )
    out.write_text(html, encoding="utf-8")


def gains(scored: Sequence[Scored], terminology: Terminology) -> list[Gain]:
    """The causes that there are, the most frequent first, of equals in the order of ``Cause``."""
    causes = [dict(missed(each, terminology)) for each in scored]
    counts = Counter(cause for of_note in causes for cause in of_note.values())
    found = []
    for cause in sorted(counts, key=lambda cause: (-counts[cause], list(Cause).index(cause))):
        lists = [
            {*each.codes, *(code for code, why in of_note.items() if why is cause)}
            for each, of_note in zip(scored, causes, strict=True)
        ]
        golds = [set(each.note.gold) for each in scored]
        categories = [[{code[:3] for code in codes} for codes in side] for side in (lists, golds)]
        found.append(Gain(cause, counts[cause], _micro_f1(lists, golds), _micro_f1(*categories)))
    return found


def most_to_gain(found: Sequence[Gain], figures: Mapping[str, Any]) -> str:
    """A sentence on the causes of which most would be gained; what the loaded year lacks can not be gained."""
    reachable = [gain for gain in found if gain.cause is not Cause.NOT_IN_YEAR]
    if not reachable:
        return "No code that the loaded year has is missed."
    best = max(reachable, key=lambda gain: gain.code_f1)
    wider = max(reachable, key=lambda gain: gain.category_f1)
    code, category = figures["code"]["f1"], figures["category"]["f1"]
    text = (
        f"Most would be gained from “{best.cause}”: were its {best.count:,} codes all found, F1 of codes would go from "
        f"{code:.3f} to {best.code_f1:.3f} and F1 of categories from {category:.3f} to {best.category_f1:.3f}"
    )
    if wider.category_f1 > best.category_f1:
        text += f"; for categories it is “{wider.cause}”, to {wider.category_f1:.3f}"
    return f"{text}. False codes would stay as they are."


def by_chapter(scored: Sequence[Scored], terminology: Terminology) -> list[ChapterCounts]:
    """Chapters with any code, in the order of the list; last, codes that no chapter of the loaded year has."""
    roots = [name for name in terminology if terminology.parent(name) is None]
    chapters = {name: ChapterCounts(terminology.title(name)) for name in roots}
    unknown = ChapterCounts(UNKNOWN_CHAPTER)
    for each in scored:
        gold, given = set(each.note.gold), set(each.codes)
        for code in gold | given:
            counts = chapters.get(_chapter(code, terminology), unknown)
            counts.gold += code in gold
            counts.given += code in given
            counts.hits += code in gold and code in given
    return [counts for counts in (*chapters.values(), unknown) if counts.gold or counts.given]


def false_codes(scored: Sequence[Scored], terminology: Terminology) -> list[CodeCounts]:
    """Codes that stand on lists and are not gold there, the most frequent first."""
    counts: dict[str, CodeCounts] = {}
    for each in scored:
        evidence = {code.code: code.evidence for code in each.analysis.codes}
        for code in dict.fromkeys(each.codes):
            row = counts.setdefault(code, CodeCounts(code, _title(code, terminology)))
            row.of += 1
            if code not in each.note.gold:
                row.wrong += 1
                row.mentions.update({_plain(each.analysis.entities[i].text) for i in evidence.get(code, ())})
    return _worst(counts.values())


def missed_codes(scored: Sequence[Scored], terminology: Terminology) -> list[CodeCounts]:
    """Gold codes that do not stand on lists, the most frequent first."""
    counts: dict[str, CodeCounts] = {}
    for each in scored:
        for code in each.note.gold:
            counts.setdefault(code, CodeCounts(code, _title(code, terminology))).of += 1
        for code, cause in missed(each, terminology):
            row = counts[code]
            row.wrong += 1
            row.causes[cause.value] += 1
            row.mentions.update(
                {_plain(e.text) for e in each.analysis.entities if any(c.code == code for c in e.icd_codes)}
            )
    return _worst(counts.values())


def _worst(counts: Iterable[CodeCounts]) -> list[CodeCounts]:
    return sorted((row for row in counts if row.wrong), key=lambda row: (-row.wrong, row.code))


def _micro_f1(found: Sequence[set[str]], gold: Sequence[set[str]]) -> float:
    hits = sum(len(one & other) for one, other in zip(found, gold, strict=True))
    return 2 * hits / max(sum(map(len, found)) + sum(map(len, gold)), 1)


def _known(code: str, terminology: Terminology) -> str | None:
    """The code, or where the loaded year does not have it, the nearest beginning that it has."""
    return next((code[:size] for size in range(len(code), 2, -1) if code[:size] in terminology), None)


def _chapter(code: str, terminology: Terminology) -> str:
    known = _known(code, terminology)
    return "" if known is None else (known, *terminology.ancestors(known))[-1]


def _title(code: str, terminology: Terminology) -> str:
    known = _known(code, terminology)
    if known == code:
        return terminology.title(code)
    return "(not in the loaded year)" if known is None else f"{terminology.title(known)} (not in the loaded year)"


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _causes_section(found: Sequence[Gain], sentence: str) -> Section:
    counts = {gain.cause.value: gain.count for gain in found}
    total = max(sum(counts.values()), 1)
    head = ["cause", "missed codes", "share", "F1 of codes if found", "F1 of categories if found", "what it means"]
    rows = [
        [
            gain.cause.value,
            gain.count,
            f"{gain.count / total:.1%}",
            f"{gain.code_f1:.3f}",
            f"{gain.category_f1:.3f}",
            _MEANING[gain.cause],
        ]
        for gain in found
    ]
    alt = "Bars of missed codes by cause: " + "; ".join(f"{cause} {count}" for cause, count in counts.items())
    return Section("Why codes are missed", sentence, inline_png(plot_causes(counts)), alt, [head, *rows])


def _chapters_section(chapters: Sequence[ChapterCounts]) -> Section:
    names = [f"{_short(counts.title)} ({counts.gold})" for counts in chapters]
    figure, axis = canvas(8, 1.2 + 0.42 * max(len(chapters), 1))
    at = np.arange(len(chapters))
    for index, (name, colour) in enumerate((("precision", BLUE), ("recall", _LIGHT))):
        values = [getattr(counts, name) or 0.0 for counts in chapters]
        axis.barh(at + (index - 0.5) * 0.38, values, 0.36, label=name, color=colour)
    axis.set(yticks=at, yticklabels=names, xlim=(0, 1))
    axis.margins(y=0.02)
    axis.invert_yaxis()
    axis.grid(axis="x", color="#e3e8ee")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    rows = [
        [counts.title, _share(counts.precision), _share(counts.recall), counts.gold, counts.given, counts.hits]
        for counts in chapters
    ]
    alt = "Bars of precision and recall by chapter: " + "; ".join(
        f"{_short(counts.title)} {_share(counts.precision)} and {_share(counts.recall)}" for counts in chapters
    )
    note = "Of whole codes; in brackets is how many gold codes a chapter has. A dash stands where nothing is counted."
    head = ["chapter", "precision", "recall", "gold", "given", "both"]
    return Section("Chapters", note, inline_png(figure), alt, [head, *rows])


def _short(title: str) -> str:
    """A chapter's title cut to a label, its range of codes first."""
    found = _RANGE.search(title)
    name = textwrap.shorten(_RANGE.sub("", title), 44, placeholder="…")
    return f"{found['codes']} {name}" if found else name
