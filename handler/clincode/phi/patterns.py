"""The patterns of identifiers that have a form, as data: ``resources/phi_patterns.tsv``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.phi.names import SHAPES

PATTERNS_FILE = "phi_patterns.tsv"
NAME, ADDRESS, FACILITY = "NAME", "ADDRESS", "FACILITY"
CATEGORIES = (
    *(NAME, ADDRESS, FACILITY, "DATE", "AGE", "PHONE", "FAX", "EMAIL", "URL", "IP", "SSN", "MRN", "HEALTH_PLAN"),
    *("ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOMETRIC", "PHOTO", "OTHER_ID"),
)
_MACRO_CATEGORY = "MACRO"
_MACRO = re.compile(r"\{([A-Z_]+)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Redacted is the group ``x`` where the expression has one, else the whole match. ``shape`` is the kind of name
    in it, a key of ``SHAPES``, or None."""

    category: str
    expression: re.Pattern[str]
    shape: str | None

    def spans(self, text: str) -> Iterable[tuple[int, int]]:
        group = "x" if "x" in self.expression.groupindex else 0
        return (match.span(group) for match in self.expression.finditer(text))


def parse_patterns(rows: Iterable[Mapping[str, str]]) -> tuple[Pattern, ...]:
    """Rows of the pattern file, in their order.

    Raises:
        ResourceError: a row has an unknown category or macro, an expression that does not compile, or an example that
            its expression does not match.
    """
    macros = dict(SHAPES)
    patterns = []
    for row in rows:
        category, example = row["category"], row["example"]
        if category not in (*CATEGORIES, _MACRO_CATEGORY):
            raise ResourceError(f"{PATTERNS_FILE}: '{example}' has the unknown category '{category}'")
        try:
            expression = _MACRO.sub(lambda match: macros[match[1]], row["pattern"])
            compiled = re.compile(expression)
        except KeyError as error:
            raise ResourceError(f"{PATTERNS_FILE}: '{example}' uses the unknown macro {error}") from None
        except re.error as error:
            raise ResourceError(f"{PATTERNS_FILE}: the pattern of '{example}' does not compile: {error}") from None
        if category == _MACRO_CATEGORY:
            macros[example] = expression
            continue
        if not compiled.search(example) or compiled.search(""):
            raise ResourceError(f"{PATTERNS_FILE}: the pattern of '{example}' does not match it, or matches nothing")
        shape = next((match[1] for match in _MACRO.finditer(row["pattern"]) if match[1] in SHAPES), None)
        if (category == NAME) != (shape is not None):
            raise ResourceError(f"{PATTERNS_FILE}: '{example}' must use one of {', '.join(SHAPES)} if it is a {NAME}")
        patterns.append(Pattern(category, compiled, shape))
    return tuple(patterns)


@cache
def default_patterns() -> tuple[Pattern, ...]:
    return parse_patterns(load_tsv_resource(PATTERNS_FILE, ("category", "example", "pattern")))
