"""Where the review of a note stands: the model's answer with every decision on it applied in order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from gateway.review.decisions import (
    AcceptCode,
    AcceptEntity,
    AddCode,
    AddEntity,
    ChangeContext,
    ChangeSpan,
    ChangeType,
    Clear,
    Finish,
    Made,
    RejectCode,
    RejectEntity,
    Reopen,
    ReplaceCode,
)

Origin = Literal["suggested", "added"]
EntityVerdict = Literal["undecided", "accepted", "rejected", "corrected"]
CodeVerdict = Literal["undecided", "accepted", "rejected", "replaced", "added"]


@dataclass(frozen=True, slots=True)
class EntityValues:
    """What a coder may correct of an entity. Offsets are code points, half-open."""

    start: int
    end: int
    type: str
    certainty: str = "affirmed"
    temporality: str = "current"
    experiencer: str = "patient"


@dataclass(frozen=True, slots=True)
class Candidate:
    code: str
    description: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ReviewedEntity:
    """``values`` as they stand now, ``suggested`` as the model (or the coder who added it) gave them."""

    key: str
    values: EntityValues
    suggested: EntityValues
    text: str
    confidence: float | None
    icd_codes: tuple[Candidate, ...]
    section: str | None
    expansion: str | None
    trigger: str | None
    origin: Origin
    verdict: EntityVerdict
    decided_by: str | None = None

    @property
    def start(self) -> int:
        return self.values.start

    @property
    def end(self) -> int:
        return self.values.end

    @property
    def type(self) -> str:
        return self.values.type

    @property
    def certainty(self) -> str:
        return self.values.certainty

    @property
    def temporality(self) -> str:
        return self.values.temporality

    @property
    def experiencer(self) -> str:
        return self.values.experiencer

    @property
    def is_changed(self) -> bool:
        return self.values != self.suggested


@dataclass(frozen=True, slots=True)
class ReviewedCode:
    """``code`` is the suggested or added one, also where ``replaced_by`` stands in its place."""

    code: str
    description: str
    confidence: float | None
    evidence: tuple[str, ...]
    """Keys of entities that are still there."""
    flags: tuple[str, ...]
    origin: Origin
    verdict: CodeVerdict
    replaced_by: str | None = None
    new_description: str | None = None
    reason: str | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class FinalCode:
    code: str
    description: str
    evidence: tuple[str, ...]
    suggested: str | None
    """The suggestion it stands on or replaces; null for one that a coder added."""


@dataclass(frozen=True, slots=True)
class ReviewState:
    version: int
    entities: tuple[ReviewedEntity, ...]
    """The suggested ones in the answer's order, then the added ones."""
    codes: tuple[ReviewedCode, ...]
    finished: bool
    comment: str | None
    last_by: str | None
    last_at: datetime | None

    def entity(self, key: str) -> ReviewedEntity | None:
        return next((entity for entity in self.entities if entity.key == key), None)

    def code(self, code: str) -> ReviewedCode | None:
        return next((each for each in self.codes if each.code == code), None)

    @property
    def undecided_codes(self) -> tuple[ReviewedCode, ...]:
        return tuple(code for code in self.codes if code.verdict == "undecided")

    @property
    def final_entities(self) -> tuple[ReviewedEntity, ...]:
        """All that no coder rejected, by place; ``verdict`` tells which of them nobody looked at."""
        kept = [entity for entity in self.entities if entity.verdict != "rejected"]
        return tuple(sorted(kept, key=lambda entity: (entity.start, -entity.end)))

    @property
    def final_codes(self) -> tuple[FinalCode, ...]:
        """The codes that stand, each once and in the list's order; the undecided are not among them."""
        final: dict[str, FinalCode] = {}
        for code in self.codes:
            suggested = code.code if code.origin == "suggested" else None
            if code.verdict in ("accepted", "added"):
                final.setdefault(code.code, FinalCode(code.code, code.description, code.evidence, suggested))
            elif code.verdict == "replaced" and code.replaced_by:
                description = code.new_description or ""
                final.setdefault(code.replaced_by, FinalCode(code.replaced_by, description, code.evidence, suggested))
        return tuple(final.values())


def review_state(answer: Mapping[str, Any], text: str, decisions: Sequence[Made] = ()) -> ReviewState:
    """``answer`` is the contract's response, ``text`` the note that its offsets count in. Decisions must be in order
    and have passed ``checks.check``: what names nothing that is there is passed over."""
    fold = _Fold(answer, text)
    for made in decisions:
        fold.apply(made)
    return fold.state(decisions[-1] if decisions else None)


class _Fold:
    def __init__(self, answer: Mapping[str, Any], text: str) -> None:
        self.text = text
        self.entities = {str(i): _suggested_entity(i, each, text) for i, each in enumerate(answer["entities"])}
        self.codes = {each["code"]: _suggested_code(each) for each in answer.get("codes") or ()}
        self._suggested = (dict(self.entities), dict(self.codes))
        self.finished = False
        self.comment: str | None = None

    def state(self, last: Made | None) -> ReviewState:
        codes = tuple(
            replace(code, evidence=tuple(key for key in code.evidence if key in self.entities))
            for code in self.codes.values()
        )
        return ReviewState(
            version=last.number if last else 0,
            entities=tuple(self.entities.values()),
            codes=codes,
            finished=self.finished,
            comment=self.comment,
            last_by=last.by if last else None,
            last_at=last.at if last else None,
        )

    def apply(self, made: Made) -> None:
        match made.decision:
            case AcceptCode() | RejectCode() | ReplaceCode() | AddCode():
                self._code(made)
            case AddEntity(start_char=start, end_char=end, type=kind):
                key, values = f"d{made.number}", EntityValues(start, end, kind)
                self.entities[key] = ReviewedEntity(
                    *(key, values, values, self.text[start:end], None, (), None, None, None, "added", "accepted"),
                    decided_by=made.by,
                )
            case Clear() as clear:
                self._clear(clear)
            case Finish(comment=comment):
                self.finished, self.comment = True, comment
            case Reopen():
                self.finished = False
            case _:
                self._entity(made)

    def _code(self, made: Made) -> None:
        decision = made.decision
        assert isinstance(decision, AcceptCode | RejectCode | ReplaceCode | AddCode)
        code, by = decision.code, made.by
        if isinstance(decision, AddCode):
            evidence = tuple(dict.fromkeys(decision.evidence))
            self.codes[code] = ReviewedCode(code, made.title or "", None, evidence, (), "added", "added", decided_by=by)
            return
        known = self.codes.get(code)
        if known is None:
            return
        plain = replace(known, replaced_by=None, new_description=None, reason=None, decided_by=by)
        match decision:
            case AcceptCode():
                self.codes[code] = replace(plain, verdict="accepted")
            case RejectCode(reason=reason):
                self.codes[code] = replace(plain, verdict="rejected", reason=reason.value if reason else None)
            case ReplaceCode(new_code=new_code):
                self.codes[code] = replace(plain, verdict="replaced", replaced_by=new_code, new_description=made.title)

    def _entity(self, made: Made) -> None:
        decision = made.decision
        assert isinstance(decision, AcceptEntity | RejectEntity | ChangeSpan | ChangeType | ChangeContext)
        known = self.entities.get(decision.entity)
        if known is None:
            return
        values, verdict = known.values, known.verdict
        match decision:
            case AcceptEntity():
                values, verdict = known.suggested, "accepted"
            case RejectEntity():
                verdict = "rejected"
            case ChangeSpan(start_char=start, end_char=end):
                values = replace(values, start=start, end=end)
            case ChangeType(type=kind):
                values = replace(values, type=kind)
            case ChangeContext(certainty=certainty, temporality=temporality, experiencer=experiencer):
                values = replace(
                    values,
                    certainty=certainty or values.certainty,
                    temporality=temporality or values.temporality,
                    experiencer=experiencer or values.experiencer,
                )
        if not isinstance(decision, AcceptEntity | RejectEntity):
            verdict = "accepted" if values == known.suggested else "corrected"
        self.entities[known.key] = replace(
            known, values=values, text=self.text[values.start : values.end], verdict=verdict, decided_by=made.by
        )

    def _clear(self, clear: Clear) -> None:
        entities, codes = self._suggested
        if clear.code is not None:
            if clear.code in codes:
                self.codes[clear.code] = codes[clear.code]
            else:
                self.codes.pop(clear.code, None)
        elif clear.entity is not None:
            if clear.entity in entities:
                self.entities[clear.entity] = entities[clear.entity]
            else:
                self.entities.pop(clear.entity, None)


def _suggested_entity(number: int, entity: Mapping[str, Any], text: str) -> ReviewedEntity:
    values = EntityValues(
        start=entity["start_char"],
        end=entity["end_char"],
        type=entity["type"],
        certainty=entity.get("certainty") or "affirmed",
        temporality=entity.get("temporality") or "current",
        experiencer=entity.get("experiencer") or "patient",
    )
    return ReviewedEntity(
        key=str(number),
        values=values,
        suggested=values,
        text=text[values.start : values.end],
        confidence=entity["confidence"],
        icd_codes=tuple(
            Candidate(each["code"], each["description"], each["confidence"]) for each in entity.get("icd_codes") or ()
        ),
        section=entity.get("section"),
        expansion=entity.get("expansion"),
        trigger=entity.get("negation_trigger"),
        origin="suggested",
        verdict="undecided",
    )


def _suggested_code(code: Mapping[str, Any]) -> ReviewedCode:
    return ReviewedCode(
        code=code["code"],
        description=code["description"],
        confidence=code["confidence"],
        evidence=tuple(map(str, code.get("evidence") or ())),
        flags=tuple(code.get("flags") or ()),
        origin="suggested",
        verdict="undecided",
    )
