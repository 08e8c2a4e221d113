"""The contract's answer as it is kept: the same, but for texts, which are cut from whichever text one may see."""

from collections.abc import Mapping
from typing import Any

Answer = dict[str, Any]


def with_texts_of(text: str, answer: Mapping[str, Any]) -> Answer:
    """The answer with the texts of its entities and references cut from ``text``: the masked note to keep it, the note
    as sent to give it back to who has sent it."""

    def cut(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**item, "text": text[item["start_char"] : item["end_char"]]} for item in items]

    return {**answer, "entities": cut(answer["entities"]), "references": cut(answer["references"])}


def lowest_confidence(answer: Mapping[str, Any]) -> float | None:
    """Of the note's codes; null where it has none."""
    return min((code["confidence"] for code in answer["codes"]), default=None)
