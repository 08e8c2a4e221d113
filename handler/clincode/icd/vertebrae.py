"""Vertebrae as the titles of codes name them."""

import re

_VERTEBRA = re.compile(r"\b([CTL])(\d{1,2})\b(?!-)")
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)
_REGIONS = {"C": "cervical", "T": "thoracic", "L": "lumbar"}


def with_vertebrae(text: str) -> str:
    """ "fracture of L1" → "fracture of first lumbar vertebra"."""

    def written(match: re.Match[str]) -> str:
        number = int(match[2])
        return f"{_ORDINALS[number - 1]} {_REGIONS[match[1]]} vertebra" if 1 <= number <= 12 else match.group()

    return _VERTEBRA.sub(written, text)
