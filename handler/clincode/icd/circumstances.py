"""What codes turn on beside the condition: pregnancy, its weeks, encounter, healing, a newborn, a cancer that is
gone."""

import re
from collections.abc import Iterator

from clincode.icd.conventions import Encounter, Healing


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


_WEEKS = re.compile(
    r"(?<![\d/.-])(?P<weeks>\d{1,2})(?:w\d?d?| ?\+ ?\d(?!\d)|(?: ?\+ ?| and |-| )?\d/7)?"
    r"(?:\s*-?\s*(?:weeks?|wks?|wk)\b|(?<=w)\b|(?<=d)\b|(?<=/7)\b)"
    r"(?!\s*(?:ago|postpartum|post|after|old|later|course|of (?!gestation|pregnancy)))",
    re.IGNORECASE,
)
_NOT_OF_PREGNANCY = re.compile(r"\b(?:for|x|over|in|after|past|last|every|until|planned)\s*$", re.IGNORECASE)
_TRIMESTER = re.compile(r"\b(first|1st|second|2nd|third|3rd)[- ]trimester\b", re.IGNORECASE)
_TRIMESTERS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3}
_PREGNANT = re.compile(
    r"\b(?:pregnan(?:t|cy)|gravid(?:a|arum|)|primigravida|IUP|G\d+ ?P\d|gestation\w*|weeks? along|prenatal|antenatal"
    r"|trimester|\d{1,2}w\dd?|NST|(?:pre)?eclampsia|placenta|fetal|fetus|embryo\w*|abortion|miscarriage|cesarean"
    r"|undelivered|obstetric\w*|(?:in|preterm) labor|vaginal delivery|morning sickness)\b",
    re.IGNORECASE,
)
_NEWBORN = re.compile(
    r"\b(?:newborn|neonat\w+|preterm infant|premature infant|infant|born at|day-old|NICU)\b", re.IGNORECASE
)

_SEQUELA = _any(
    r"\bsequelae?\b", r"\blate effects?\b", r"\bresidual (?:of|from)\b", r"\bas a result of (?:an?|the|his|her) old\b"
)
_INITIAL = re.compile(r"\binitial encounter\b", re.IGNORECASE)
_JUST_NOW = _any(
    r"\bactive treatment\b", r"\bED\b", r"\bemergency\b", r"\b(?:today|this morning|last night|yesterday)\b"
)
_SUBSEQUENT = _any(
    r"\bsubsequent encounter\b",
    r"\b(?:for|in|at) (?:\w+ )?(?:follow[- ]?up|f/u)\b",
    r"\b(?:follow[- ]?up|f/u) (?:visit|of|for|after|appointment|x-?rays?|films?)\b",
    r"(?:^|[.\n] ?)(?:\w+ ){0,2}(?:follow[- ]?up|f/u|recheck|postop visit)\b(?! in\b| with\b)",
    r"\b(?:routine|delayed|normal) healing\b",
    r"\bhealing (?:well|nicely|as expected|fracture|burn|wound)\b",
    r"\bhealed\b|\bnon-?union\b|\bmal-?union\b|\bcallus\b|\baftercare\b|\brecheck of\b",
    r"\b(?:cast|splint|boot|sutures?|staples?) (?:is |are |was |were )?(?:removed|removal|off|out)\b",
    r"\b(?:removal of|here for) (?:the )?(?:sutures|cast|hardware|staples)\b",
    r"\b(?:weeks?|wks?|months?|mo|days?) (?:out|post|after|s/p|status post|following|since)\b",
)
_OPEN = re.compile(r"(?<!closed or )\b(?:open|compound|gustilo)\b(?! reduction)", re.IGNORECASE)
_HEALINGS: tuple[tuple[Healing, re.Pattern[str]], ...] = (
    ("nonunion", _any(r"\bnon-?union\b", r"\bnot united\b")),
    ("malunion", _any(r"\bmal-?union\b", r"\bmal-?united\b")),
    ("delayed", _any(r"\bdelayed (?:healing|union)\b", r"\bslow to heal\b")),
)

_THERAPY = r"(?:treatment|therapy|chemo\w*|radiation)"
_YEAR = r"(?:19|20)\d\d"
_TREATED = _any(
    r"\bno evidence of (?:disease|recurren\w+)|\bno (?:local |distant )?recurren\w+|\bNED\b|\bsurveillance\b|\bcured\b",
    rf"\b{_THERAPY} (?:was )?(?:complete\w*|finished)",
    rf"\b(?:completed|finished) (?:{_THERAPY}|\w+ and radiation|in|{_YEAR})\b",
    rf"\b(?:fully |completely )?(?:excised|resected|removed) in {_YEAR}",
)
_UNDER_TREATMENT = _any(
    r"\bnewly diagnosed\b",
    r"\b(?:on|currently|continues?|receiving|undergoing|cycle \d+|adjuvant|neoadjuvant|active) (?:\w+ ){0,2}"
    rf"(?:{_THERAPY}|tamoxifen|letrozole|anastrozole|immunotherapy)\b",
)


def is_pregnant(note: str) -> bool:
    """Whether the note is about someone pregnant, in labour or just delivered."""
    return _PREGNANT.search(note) is not None


def gestational_weeks(note: str) -> int | None:
    """Whole weeks of a pregnancy, the first that a note states which speaks of one."""
    if not is_pregnant(note):
        return None
    return next(_weeks(note), None)


def _weeks(note: str) -> Iterator[int]:
    for match in _WEEKS.finditer(note):
        if 3 < int(match["weeks"]) < 45 and not _NOT_OF_PREGNANCY.search(note[: match.start()]):
            yield int(match["weeks"])


def trimester_of(note: str) -> int:
    """1 to 3; 0 where the note says neither trimester nor weeks. Counted as chapter 15 does, from 14 and 28 weeks."""
    match = _TRIMESTER.search(note)
    if match:
        return _TRIMESTERS[match[1].lower()]
    weeks = gestational_weeks(note)
    return 0 if weeks is None else 1 if weeks < 14 else 2 if weeks < 28 else 3


def is_newborn(note: str) -> bool:
    return _NEWBORN.search(note) is not None


def encounter_of(sentence: str, note: str) -> tuple[Encounter, bool]:
    """The encounter that a sentence says, else the note; and whether it is said, for initial is taken where none is."""
    for text in (sentence, note):
        if _SEQUELA.search(text):
            return "sequela", True
        if _INITIAL.search(text):
            return "initial", True
        if _SUBSEQUENT.search(text):
            return "subsequent", True
    return "initial", _JUST_NOW.search(note) is not None


def is_open(text: str) -> bool:
    """Whether a fracture is said to be open."""
    return _OPEN.search(text) is not None


def healing_of(sentence: str) -> Healing:
    return next((kind for kind, pattern in _HEALINGS if pattern.search(sentence)), "routine")


def is_treated(text: str) -> bool:
    """Whether a cancer is said to be gone and no longer treated."""
    return _TREATED.search(text) is not None and not _UNDER_TREATMENT.search(text)
