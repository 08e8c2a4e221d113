"""What is coded of a past condition and of a relative's: ``icd_history.tsv``, code → code."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.checks import check_billable
from clincode.icd.status import NO_CODE, check_statuses
from clincode.icd.terminology import Terminology, is_group

HISTORY_FILE = "icd_history.tsv"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds for the codes that begin with ``condition``."""

    condition: str
    personal: str | None
    family: str | None
    chronic: bool


_FAMILY_HISTORY = ("Z80", "Z81", "Z82", "Z83", "Z84")
_SAYS_ITSELF = re.compile(r"\bin (?:partial |full )?remission\b|\bsequelae?\b", re.IGNORECASE)
"""Titles that already say that the condition is over, or what is left of it."""


class History:
    """From a condition to the codes of its history. Not changed by use.

    Raises:
        ResourceError: a table is malformed, has a condition that no code begins with or that stands there twice, or a
            code that is not billable in this release.
    """

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology
        self._rules = _history_rules(terminology)
        check_statuses(terminology)

    def personal(self, code: str) -> str | None:
        """The code that says that the patient had the condition; None where the classification has none.

        Mostly a code of Z85 to Z87. Of what leaves another code behind it is that code: an old infarction (I25.2), a
        dependence in remission (F10.21), the diabetes after a ketoacidosis (E11.9).
        """
        rule = self._rule(code)
        return rule.personal if rule else None

    def family(self, code: str) -> str | None:
        """The code that says that a relative has or had the condition (Z80 to Z84); None where there is none."""
        if code.startswith(_FAMILY_HISTORY) and self._terminology.is_billable(code):
            return code
        rule = self._rule(code)
        return rule.family if rule else None

    def is_chronic(self, code: str) -> bool:
        """Whether the condition does not go away, so that "history of" it means the condition and ``code`` stands.

        True too of codes that say themselves what is over: history, status, sequelae, remission.
        """
        rule = self._rule(code)
        return rule is not None and (rule.chronic or _SAYS_ITSELF.search(self._terminology.title(code)) is not None)

    def _rule(self, code: str) -> _Rule | None:
        """The rule of the longest beginning; None for groups and for what is no code of this release."""
        if is_group(code) or code not in self._terminology:
            return None
        found = (self._rules.get(code[:size]) for size in range(len(code), 0, -1))
        return next((rule for rule in found if rule is not None), None)


def _history_rules(terminology: Terminology) -> Mapping[str, _Rule]:
    codes = sorted(terminology.base_codes())
    rules: dict[str, _Rule] = {}
    for row in load_tsv_resource(HISTORY_FILE, ("condition", "personal", "family", "chronic")):
        condition = row["condition"]
        if condition in rules:
            raise ResourceError(f"{HISTORY_FILE}: '{condition}' stands there twice")
        first = bisect_left(codes, condition)
        if first == len(codes) or not codes[first].startswith(condition):
            raise ResourceError(f"{HISTORY_FILE}: no code of {terminology.release} begins with '{condition}'")
        if row["chronic"] not in ("yes", "no"):
            raise ResourceError(f"{HISTORY_FILE}: '{condition}' is chronic '{row['chronic']}', must be yes or no")
        personal, family = (None if row[name] == NO_CODE else row[name] for name in ("personal", "family"))
        for code in (personal, family):
            check_billable(terminology, f"{HISTORY_FILE}: '{condition}'", code)
        rules[condition] = _Rule(condition, personal, family, row["chronic"] == "yes")
    return rules
