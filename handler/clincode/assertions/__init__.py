"""Certainty, temporality and experiencer of mentions."""

from clincode.assertions.cues import ContextRules, default_rules
from clincode.assertions.scopes import assert_context

__all__ = ["ContextRules", "assert_context", "default_rules"]
