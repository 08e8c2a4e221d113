"""What ambiguous words and abbreviations mean where they stand."""

from clincode.senses.abbreviations import expanded, resolve_abbreviations, with_abbreviations
from clincode.senses.table import Sense, SenseUse
from clincode.senses.words import resolve_words, with_words

__all__ = [
    "Sense",
    "SenseUse",
    "expanded",
    "resolve_abbreviations",
    "resolve_words",
    "with_abbreviations",
    "with_words",
]
