"""From a category to the billable code that says no more than the category does.

"Acute myocardial infarction" (I21) is no code for a claim; I21.9, "Acute myocardial infarction, unspecified", is. The
code chosen is the one whose title adds least to that of the category: "unspecified", "without" and what follows them
add next to nothing, "NOS" among the inclusion terms settles it, and of the 7th characters it is the initial encounter.
"""

import re
from dataclasses import dataclass, field

from clincode.icd.normalise import key, words
from clincode.icd.terminology import Terminology, is_group

SAME = 1.0
SPECIFIC = 1.5
"""A cost from here on means that the code says something that the category does not."""

_HARMLESS = frozenset(
    ["without", "not", "uncomplicated", "cause", "site", "organism", "type", "sites", "nos", "classified", "elsewhere"]
)
_WORD_OR_COMMA = re.compile(r"[^\s,]+|,")
_SAID_OTHERWISE = re.compile(r"other and unspecified|with loss of consciousness status unknown")
_RESERVED = frozenset(["other", "specified"])
_WORD_COST, _HARMLESS_COST, _OTHER_COST = 1.0, 0.05, 1.5


@dataclass(frozen=True, slots=True)
class Default:
    """A billable code and what it adds to the code it was reached from; 0 where it adds nothing."""

    code: str
    cost: float


@dataclass(slots=True)
class Defaults:
    """Finds and remembers the default billable code below any code."""

    terminology: Terminology
    _found: dict[str, Default] = field(default_factory=dict)

    def __getitem__(self, code: str) -> Default:
        """Raises ``KeyError`` for a code that is not of this release."""
        found = self._found.get(code)
        if found is None:
            found = self._found[code] = self._descend(code)
        return found

    def broadest(self, code: str) -> str:
        """The highest code above that says the same: whose default this code is, with nothing added to the meaning."""
        parent = self.terminology.parent(code)
        while parent is not None and not is_group(parent) and self[parent].code == self[code].code:
            if self[parent].cost >= SAME:
                break
            code, parent = parent, self.terminology.parent(parent)
        return code

    def _descend(self, code: str) -> Default:
        children = self.terminology.children(code)
        if not children:
            return Default(code, 0.0)
        title = self.terminology.title(code)
        costs = {child: self._added(title, child) for child in children}
        if self.terminology.is_billable(children[0]) and len(children[0]) == 8 and all(len(c) == 8 for c in children):
            costs = _encounters(self.terminology, children)
        nearest = min(children, key=lambda child: (costs[child], child[-1] != "9", children.index(child)))
        below = self[nearest]
        return Default(below.code, costs[nearest] + below.cost)

    def _added(self, title: str, child: str) -> float:
        """What a child's title says beyond its parent's."""
        if any(term.endswith("NOS") and key(term) == key(title) for term in self.terminology.terms(child)):
            return 0.0
        known = set(words(title))
        added = _SAID_OTHERWISE.sub("unspecified", self.terminology.title(child).lower())
        cost, harmless, previous = 0.0, "", ""
        for word in _WORD_OR_COMMA.findall(added):
            harmless = _scope(harmless, previous, word)
            canonical = key(word)
            if canonical and not set(canonical.split()) <= known:
                if canonical in _RESERVED and harmless not in ("not", "without"):
                    cost += _OTHER_COST
                else:
                    cost += _HARMLESS_COST if harmless or canonical in _HARMLESS else _WORD_COST
            previous = word
        return cost if "unspecified" in added else cost + _HARMLESS_COST


def _scope(harmless: str, previous: str, word: str) -> str:
    """The word, if any, under which what follows is not said of the patient: "unspecified" or a negation."""
    if word in ("without", "not", "whether") or (word == "unspecified" and previous != "with" and not harmless):
        return word
    if harmless == "unspecified" and word in (",", "with", "and", "due"):
        return ""
    return "" if word == "with" and previous != "whether" else harmless


def _encounters(terminology: Terminology, codes: tuple[str, ...]) -> dict[str, float]:
    """Costs of each 7th character; least: "unspecified" and "not applicable", else the first (initial encounter)."""
    said = {code: terminology.title(code).rpartition(", ")[2].lower() for code in codes}
    plain = [code for code in codes if "unspecified" in said[code] or "not applicable" in said[code]]
    chosen = plain[0] if plain else codes[0]
    return {code: 0.3 if code == chosen else SPECIFIC + i for i, code in enumerate(codes)}
