"""What "it", "this" and "the mass" mean: the entity before them that they point back to."""

from clincode.references.anaphors import Anaphor, anaphor_at
from clincode.references.resolve import antecedent, resolve_references
from clincode.references.rules import default_rules, parse_rules

__all__ = ["Anaphor", "anaphor_at", "antecedent", "default_rules", "parse_rules", "resolve_references"]
