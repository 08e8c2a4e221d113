"""How far each kind of match can be trusted.

The scale is the share of distinct mentions whose first code was right, among those that the kind of match linked, on
the training part of the BC5CDR linking records (``python -m training.evaluate_icd bc5cdr_train.jsonl --by-kind``).
Right is a billable code that is gold, or that stands below a gold code which is not billable. Counts are drawn towards
one half, (right + 2) / (n + 4), because some kinds have few mentions: 64 exact and normalised together, 247 curated, 34
related, 17 unmodified and reduced together, 4 heads, 3 reordered, 2 halves. No kind is put above a nearer one.

The gold codes come from cross-references between concepts. Where coding rules lead elsewhere (to a symptom, a newer
code) a right answer counts as wrong, so the figures are low rather than high; but the curated terms were written with
these mentions in view, and theirs is the one figure that may be too high on others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MatchKind(StrEnum):
    """How a mention met the name of a code, the nearest first."""

    OWN = "own"
    """A name of the user's own sources, with the codes that they give it."""
    EXACT = "exact"
    """Letter for letter, but for case and spaces."""
    NORMALISED = "normalised"
    """The words of the name in their order, or of a form that the grammar of the list gives it."""
    SYNONYM = "synonym"
    """A curated short form or lay term."""
    RELATED = "related"
    """With words of one meaning made one."""
    UNMODIFIED = "unmodified"
    """After words were taken off that no code is chosen by ("mild", "new onset"), or an aside in parentheses."""
    REORDERED = "reordered"
    """The words of the name in another order."""
    REDUCED = "reduced"
    """After a clause or a qualifier was taken off on which a code can turn."""
    HEAD = "head"
    """Only the last words of the mention."""
    HALF = "half"
    """One half of a name with "and"."""


FIRST_RIGHT: Mapping[MatchKind, float] = {
    MatchKind.OWN: 0.79,
    MatchKind.EXACT: 0.79,
    MatchKind.NORMALISED: 0.79,
    MatchKind.SYNONYM: 0.76,
    MatchKind.RELATED: 0.66,
    MatchKind.UNMODIFIED: 0.62,
    MatchKind.REORDERED: 0.57,
    MatchKind.REDUCED: 0.57,
    MatchKind.HEAD: 0.57,
    MatchKind.HALF: 0.33,
}
LATER_RIGHT = 0.12
"""Of the mentions whose first code was wrong, the share with a right one among the next four; same records."""

# Too few mentions to measure (fewer than ten each): judgement.
TIED = 0.8
GUESSED = 0.7


@dataclass(frozen=True, slots=True)
class Found:
    """One code that a name led to: ``named`` is the code the name stands at, ``billable`` where a claim goes from it.

    ``tied`` says that names met in the same way lead to other billable codes too, ``guessed`` that the billable code
    says more than the name does.
    """

    named: str
    billable: str
    kind: MatchKind
    tied: bool = False
    guessed: bool = False

    @property
    def confidence(self) -> float:
        """Of the billable code, where it comes first; in [0, 1]."""
        return FIRST_RIGHT[self.kind] * (TIED if self.tied else 1.0) * (GUESSED if self.guessed else 1.0)


def later_confidence(first: float, rank: int) -> float:
    """Of the candidate at ``rank`` ≥ 1 behind one of confidence ``first``: less with each rank, always below the first.

    The ranks share what the first leaves open, each half of the one before.
    """
    return min(first / 2, (1 - first) * LATER_RIGHT) * 0.5**rank
