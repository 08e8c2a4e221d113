"""In how many words a mention may be looked up: as it stands, and with what stands next to it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clincode.icd.confidence import MatchKind
from clincode.icd.linker import IcdLinker
from clincode.icd.mention import Mention
from clincode.icd.normalise import words
from clincode.icd.vertebrae import with_vertebrae
from clincode.labels import EntityType
from clincode.types import Experiencer, Sentence

_BETWEEN = re.compile(
    r"[\s,]*(?:(?:of|in|to|at|on|over|involving|affecting)\s+)?(?:(?:a|an|the|his|her|their|both|left|right)\s+)*",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"(?:[A-Za-z][\w'’-]*[ ]){1,3}$")
_NAMED = frozenset({MatchKind.OWN, MatchKind.EXACT, MatchKind.SYNONYM, MatchKind.NORMALISED})
_SIDE_WORDS = re.compile(
    r",?\s*\b(?:of |in )?(?:the )?(?i:left|right|both) (?i:eyes?|ears?)$"
    r"|\b(?i:left|right|bilateral|lt|rt)(?i:-sided)?\b,?\s*"
    r"|\b(?:OD|OS|OU|[LR](?= [a-z]))\b,?\s*"
)
_MEASURED = re.compile(
    r"(?:BP|blood pressure|HR|heart rate|pulse|RR|temp(?:erature)?|SpO2|O2 sats?|weight|BMI|vitals?|r/o|pus)",
    re.IGNORECASE,
)
"""What is measured or done, which a model may take for a disease."""
_HISTORY = re.compile(r"^(?:an? )?(?:personal |family )?history of ", re.IGNORECASE)
_NOT_FAR = 80
_METASTASIS = re.compile(
    r"^(?:metasta(?:sis|ses|tic disease)|mets) (?:to|of|in) (?:the )?(.+)$|^(.+?) (?:metastas[ei]s|mets)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wording:
    """``is_joint`` is true of one that a part of the body was put to."""

    text: str
    is_joint: bool = False


@dataclass(frozen=True, slots=True)
class Wordings:
    """Makes the wordings of a mention, those that say least first."""

    linker: IcdLinker

    def of(self, text: str, mentions: Sequence[Mention], index: int) -> Iterator[Wording]:
        """The mention as it is written out, without its side, and with the part of the body that stands next to it."""
        mention = mentions[index]
        named = _HISTORY.sub("", mention.text) if mention.assertion.experiencer is Experiencer.FAMILY else mention.text
        corrected = self.linker.speller.corrected(named)
        if _MEASURED.fullmatch(corrected):
            return
        plain = _SIDE_WORDS.sub("", corrected).strip()
        if plain:
            yield Wording(plain)
        yield Wording(corrected)
        since = max(
            [mention.sentence.start, *(m.span.end for m in mentions[:index] if m.span.end <= mention.span.start)]
        )
        yield from self._longer(text[since : mention.span.start], plain or corrected)
        if match := _METASTASIS.match(corrected):
            yield Wording(f"secondary malignant neoplasm of {_SIDE_WORDS.sub('', match[1] or match[2])}")
        beside = [m for m in mentions[max(0, index - 1) : index + 2] if m.span.type is EntityType.ANATOMY]
        joined = False
        for other in beside:
            first, second = sorted((mention, other), key=lambda m: m.span.start)
            between = text[first.span.end : second.span.start]
            touching = first.span.end <= second.span.start and _BETWEEN.fullmatch(between)
            if touching and other.sentence == mention.sentence:
                joined = True
                yield self._joint(f"{first.text} {between.strip()} {second.text}")
        site = None if joined else _nearest_site(mentions, mention)
        if site is not None:
            yield self._joint(f"{corrected} of {site.text}")

    def _joint(self, text: str) -> Wording:
        joint = with_vertebrae(self.linker.speller.corrected(text))
        return Wording(" ".join(_SIDE_WORDS.sub("", joint).split()), is_joint=True)

    def _longer(self, before: str, corrected: str) -> Iterator[Wording]:
        """The mention with up to three words of ``before``, where that is a name: "seropositive", "post-traumatic"."""
        found = _BEFORE.search(before)
        taken = found.group().split() if found else []
        for count in range(1, len(taken) + 1):
            longer = self.linker.speller.corrected(f"{' '.join(taken[-count:])} {corrected}")
            names = self.linker.lookup.find(longer) if words(taken[-count]) else ()
            if names and names[0].kind in _NAMED and not names[0].guessed:
                yield Wording(longer)

    def inside(self, mention: Mention) -> Iterator[Wording]:
        """Names that stand in a mention whose own words name nothing: "gout flare" in "gout flare right big toe"."""
        corrected = self.linker.speller.corrected(mention.text)
        for name in self.linker.lookup.scanner.find(corrected, [Sentence(0, len(corrected))], least_letters=4):
            yield Wording(corrected[name.start : name.end])


def _nearest_site(mentions: Sequence[Mention], mention: Mention) -> Mention | None:
    """The part of the body that was named last before a mention, or first after it in its sentence; none far away."""
    sites = [m for m in mentions if m.span.type is EntityType.ANATOMY]
    before = [m for m in sites if 0 <= mention.span.start - m.span.end <= _NOT_FAR]
    after = [m for m in sites if m.sentence == mention.sentence and 0 <= m.span.start - mention.span.end <= _NOT_FAR]
    return after[0] if after else before[-1] if before else None
