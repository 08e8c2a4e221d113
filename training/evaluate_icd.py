"""How often a mention gets a right ICD-10-CM code, on records of gold mentions.

    python -m training.evaluate_icd PATH.jsonl [--by-kind]

A record is a JSON object a line with ``mention``, ``icd10cm``, its gold codes, and where there is one ``context``,
the text around it, by which abbreviations are written out as in a note. The mention is right at k when any of the
first k codes is any of the gold codes, and its category is right when they share the first three characters.

Gold codes come from cross-references between concepts, and a third of them stand at a level of the list that no claim
may carry. So ``code@k`` and ``category@k`` are of the codes that the mention names, at whatever level, as every
baseline that returns the codes of titles is measured; ``billable@k`` is of what a coder is shown, which is billable
codes only, and ``reachable`` the most that it can be: the share of mentions of which any gold code is billable.
``agreeing@1`` counts a shown code right too where it stands below a gold code. ``abstained`` is the share of mentions
whose first code is too unsure for a note's list, and ``ece`` the expected calibration error of code@1 over ten bins.

``--by-kind`` prints, over distinct mentions, the precision of each kind of match; ``clincode.icd.confidence`` holds the
figures of the training part.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from clincode.icd import IcdLinker, Terminology, build_terminology
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.senses import expanded, resolve_abbreviations
from clincode.types import CodeCandidate, Span
from training.calibration import reliability
from training.corpora import CorpusError

CUTOFFS = (1, 5)


@dataclass(frozen=True, slots=True)
class LinkingRecord:
    """A mention as it stands in its text, and the codes that are right for it."""

    mention: str
    gold: frozenset[str]
    context: str = ""
    document: str = ""


def evaluate_icd(path: Path, linker: IcdLinker) -> dict[str, float | int]:
    """Shares of mentions in [0, 1], and ``n``, their number.

    Raises:
        CorpusError: a line is no such record; names the file and the line.
    """
    records = list(read_records(path))
    if not records:
        raise CorpusError(f"{path}: no records")
    mentions = [written_out(record) for record in records]
    shown = linker.link_all(mentions, limit=max(CUTOFFS))
    named = linker.named_all(mentions, limit=max(CUTOFFS))
    figures: dict[str, float | int] = {}
    for k in CUTOFFS:
        figures[f"code@{k}"] = _share(records, named, k, _is_gold)
        figures[f"category@{k}"] = _share(records, named, k, _shares_category)
    unsure = [not codes or codes[0].confidence < linker.threshold for codes in named]
    figures["abstained"] = sum(unsure) / len(records)
    figures["ece"] = reliability(first_codes(records, named))[0]
    for k in CUTOFFS:
        figures[f"billable@{k}"] = _share(records, shown, k, _is_gold)
    terminology = linker.terminology
    figures["agreeing@1"] = _share(records, shown, 1, lambda code, gold: agrees(code, gold, terminology))
    figures["reachable"] = sum(any(map(terminology.is_billable, r.gold)) for r in records) / len(records)
    figures["n"] = len(records)
    return figures


def first_codes(
    records: Sequence[LinkingRecord], ranked: Sequence[Sequence[CodeCandidate]]
) -> list[tuple[float, float]]:
    """Confidence of each record's first code, 0 where it has none, and 1 where it is right."""
    return [
        (codes[0].confidence, float(codes[0].code in record.gold)) if codes else (0.0, 0.0)
        for record, codes in zip(records, ranked, strict=True)
    ]


def read_records(path: Path) -> Iterator[LinkingRecord]:
    """Records of a JSON lines file; blank lines are skipped. Raises ``CorpusError`` naming file and line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold other separators of lines
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not a readable text file ({type(error).__name__})") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(line, f"{path}:{number}")


def _record(line: str, place: str) -> LinkingRecord:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{place}: not a JSON object ({error})") from error
    mention, codes = (data.get("mention"), data.get("icd10cm")) if isinstance(data, dict) else (None, None)
    if not isinstance(mention, str) or not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise CorpusError(f"{place}: needs 'mention', a text, and 'icd10cm', a list of codes")
    if not codes:
        raise CorpusError(f"{place}: 'icd10cm' names no code")
    context, document = data.get("context", ""), data.get("pmid", "")
    if not isinstance(context, str) or not isinstance(document, str):
        raise CorpusError(f"{place}: 'context' and 'pmid' must be texts")
    return LinkingRecord(mention, frozenset(codes), context, document)


def written_out(record: LinkingRecord) -> str:
    """The mention with its abbreviations written out as its context has them, as a note's text would be read."""
    text = record.context
    places = [match.start() for match in re.finditer(re.escape(record.mention), text)]
    if not places:
        text, places = record.mention, [0]
    middle = min(places, key=lambda place: abs(place + len(record.mention) / 2 - len(text) / 2))
    span = Span(middle, middle + len(record.mention), EntityType.DIAGNOSIS, 1.0)
    return expanded(text, span, resolve_abbreviations(text, split_sentences(text), [span]))[0]


def _is_gold(code: str, gold: frozenset[str]) -> bool:
    return code in gold


def _shares_category(code: str, gold: frozenset[str]) -> bool:
    return code[:3] in {other[:3] for other in gold}


def _share(
    records: Sequence[LinkingRecord],
    ranked: Sequence[Sequence[CodeCandidate]],
    k: int,
    right: Callable[[str, frozenset[str]], bool],
) -> float:
    pairs = zip(records, ranked, strict=True)
    hits = sum(any(right(candidate.code, record.gold) for candidate in candidates[:k]) for record, candidates in pairs)
    return hits / len(records)


@dataclass(slots=True)
class KindFigures:
    """Counts over distinct mentions that one kind of match linked. See ``agrees`` for what is right."""

    n: int = 0
    equal: int = 0
    agreeing: int = 0
    category: int = 0
    later: int = 0


def precision_by_kind(records: Iterable[LinkingRecord], linker: IcdLinker) -> dict[str, KindFigures]:
    """Figures of each kind of match, split by whether names tied or the billable code had to be guessed."""
    figures: dict[str, KindFigures] = defaultdict(KindFigures)
    gold: dict[str, frozenset[str]] = {}
    for record in records:
        gold[record.mention.lower()] = gold.get(record.mention.lower(), frozenset()) | record.gold
    for mention, codes in gold.items():
        found = linker.lookup.find(mention)
        if found:
            first = found[0]
            ranked = [candidate.code for candidate in linker.link(mention)]
            row = figures[f"{first.kind}{', tied' * first.tied}{', guessed' * first.guessed}"]
            right = [agrees(code, codes, linker.terminology) for code in ranked]
            row.n += 1
            row.equal += ranked[0] in codes
            row.agreeing += right[0]
            row.category += _shares_category(ranked[0], codes)
            row.later += not right[0] and any(right)
    return dict(figures)


def agrees(code: str, gold: frozenset[str], terminology: Terminology) -> bool:
    """Whether a billable code is gold, or stands below a gold code that is not billable."""
    return code in gold or bool(gold & set(terminology.ancestors(code)))


def main(path: Annotated[Path, typer.Argument()], by_kind: Annotated[bool, typer.Option()] = False) -> None:
    linker = IcdLinker(build_terminology())
    for name, value in evaluate_icd(path, linker).items():
        print(f"{name:12} {value:.3f}" if isinstance(value, float) else f"{name:12} {value}")
    if by_kind:
        print("kind\tmentions\tequal\tagreeing\tdrawn\tcategory\tlater")
        for kind, row in sorted(precision_by_kind(read_records(path), linker).items()):
            drawn = (row.agreeing + 2) / (row.n + 4)
            shares = (row.equal / row.n, row.agreeing / row.n, drawn, row.category / row.n, row.later / row.n)
            print(kind, row.n, *(f"{share:.3f}" for share in shares), sep="\t")


if __name__ == "__main__":
    typer.run(main)
