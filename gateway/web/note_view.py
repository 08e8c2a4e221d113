"""What the templates of a note's page are given."""

from dataclasses import dataclass, replace
from typing import Any

from gateway.review.decisions import AddEntity, Clear, Decision, OfEntity
from gateway.review.state import ReviewedCode, ReviewedEntity, ReviewState
from gateway.review.store import NoteReview
from gateway.security.permissions import Principal
from gateway.web.pages import render
from gateway.web.segments import masks_of, note_html
from gateway.web.words import note_type

_LONGEST_LABEL = 44


@dataclass(frozen=True, slots=True)
class Evidence:
    """The same words at one place or several: ``keys`` are those of the entities."""

    keys: tuple[str, ...]
    text: str
    type: str


@dataclass(frozen=True, slots=True)
class CodeCard:
    code: ReviewedCode
    evidence: tuple[Evidence, ...]


def values(review: NoteReview, principal: Principal | None) -> dict[str, Any]:
    """For ``note.html`` and its parts; ``principal`` is who looks, and may be left out for the parts."""
    note, state = review.note, review.state
    undecided = len(state.undecided_codes)
    in_hand_of = note.reviewer if principal and note.reviewer not in (None, principal.name) else None
    return {
        "note": note,
        "state": state,
        "cards": [CodeCard(code, tuple(_evidence(code, state))) for code in state.codes],
        "note_html": note_html(note.text, state.entities, masks_of(note.redactions)),
        "undecided": undecided,
        "decided": len(state.codes) - undecided,
        "in_hand_of": in_hand_of,
        "title": note_type(note.note_type),
    }


def changes_note(decision: Decision) -> bool:
    """Whether the marks in the note may be others after it."""
    return isinstance(decision, OfEntity | AddEntity) or (isinstance(decision, Clear) and decision.entity is not None)


def entity_html(review: NoteReview, key: str) -> str | None:
    entity = review.state.entity(key)
    if entity is None:
        return None
    return render(
        "entity.html",
        entity=entity,
        label=short(entity.text),
        state=review.state,
        supports=[code.code for code in review.state.codes if key in code.evidence],
        listed={code.code for code in review.state.codes},
        changes=_changes(entity),
    )


def short(text: str) -> str:
    """A label of one line."""
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_LABEL else f"{plain[: _LONGEST_LABEL - 1]}…"


def _evidence(code: ReviewedCode, state: ReviewState) -> list[Evidence]:
    found: dict[tuple[str, str], Evidence] = {}
    for entity in filter(None, map(state.entity, code.evidence)):
        text = short(entity.text)
        said = found.get((text.lower(), entity.type), Evidence((), text, entity.type))
        found[text.lower(), entity.type] = replace(said, keys=(*said.keys, entity.key))
    return list(found.values())


def _changes(entity: ReviewedEntity) -> list[str]:
    """Names of the values that are not as suggested."""
    names = ("start", "end", "type", "certainty", "temporality", "experiencer")
    return [name for name in names if getattr(entity.values, name) != getattr(entity.suggested, name)]
