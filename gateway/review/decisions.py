"""What a coder can decide on a note, as the page sends it and as it is kept.

An entity's key is the place of a suggested one in the answer ("0", "1", …), or "d" and the number of the decision that
added it ("d7"). A decision never changes a row: what stands is what the fold of ``state.py`` makes of all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clincode.errors import RequestError
from gateway.storage.tables import DecisionRow

EntityType = Literal["DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"]
CertaintyName = Literal["affirmed", "negated", "possible"]
TemporalityName = Literal["current", "historical", "hypothetical"]
ExperiencerName = Literal["patient", "family", "other"]
ENTITY_TYPES: tuple[str, ...] = get_args(EntityType)

EntityKey = Annotated[str, Field(pattern=r"^(0|d?[1-9][0-9]{0,5})$")]
Code = Annotated[str, Field(pattern=r"^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$")]
Offset = Annotated[int, Field(ge=0)]


class RejectReason(StrEnum):
    """Why a code is wrong: of a fixed list, for free text would quote the note."""

    NOT_DOCUMENTED = "not_documented"
    WRONG_CONTEXT = "wrong_context"
    WRONG_SPECIFICITY = "wrong_specificity"
    INTEGRAL = "integral"
    DUPLICATE = "duplicate"
    OTHER = "other"


class _Decision(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class AcceptCode(_Decision):
    kind: Literal["accept_code"] = "accept_code"
    code: Code


class RejectCode(_Decision):
    kind: Literal["reject_code"] = "reject_code"
    code: Code
    reason: Annotated[RejectReason, Field(strict=False)] | None = None


class ReplaceCode(_Decision):
    kind: Literal["replace_code"] = "replace_code"
    code: Code
    new_code: Code


class AddCode(_Decision):
    kind: Literal["add_code"] = "add_code"
    code: Code
    evidence: Annotated[list[EntityKey], Field(max_length=100)] = []


class AcceptEntity(_Decision):
    """It is right as it was suggested: earlier corrections of it fall away."""

    kind: Literal["accept_entity"] = "accept_entity"
    entity: EntityKey


class RejectEntity(_Decision):
    kind: Literal["reject_entity"] = "reject_entity"
    entity: EntityKey


class ChangeSpan(_Decision):
    kind: Literal["change_span"] = "change_span"
    entity: EntityKey
    start_char: Offset
    end_char: Offset


class ChangeType(_Decision):
    kind: Literal["change_type"] = "change_type"
    entity: EntityKey
    type: EntityType


class AddEntity(_Decision):
    kind: Literal["add_entity"] = "add_entity"
    start_char: Offset
    end_char: Offset
    type: EntityType


class ChangeContext(_Decision):
    """What is left out stays as it is."""

    kind: Literal["change_context"] = "change_context"
    entity: EntityKey
    certainty: CertaintyName | None = None
    temporality: TemporalityName | None = None
    experiencer: ExperiencerName | None = None


class Clear(_Decision):
    """Take back all that was decided on a code or an entity; what a coder added goes away."""

    kind: Literal["clear"] = "clear"
    target: Annotated[str, Field(pattern=r"^(code:[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?|entity:(0|d?[1-9][0-9]{0,5}))$")]

    @property
    def code(self) -> str | None:
        return self.target.removeprefix("code:") if self.target.startswith("code:") else None

    @property
    def entity(self) -> str | None:
        return self.target.removeprefix("entity:") if self.target.startswith("entity:") else None


class Finish(_Decision):
    kind: Literal["finish"] = "finish"
    comment: Annotated[str, Field(max_length=2000)] | None = None


class Reopen(_Decision):
    kind: Literal["reopen"] = "reopen"


OfCode = AcceptCode | RejectCode | ReplaceCode | AddCode
OfEntity = AcceptEntity | RejectEntity | ChangeSpan | ChangeType | ChangeContext
Decision = OfCode | OfEntity | AddEntity | Clear | Finish | Reopen
_ADAPTER: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="kind")])


def parse_decision(value: object) -> Decision:
    """A decision as JSON gives it.

    Raises:
        RequestError: it does not fit; the field is named, no value is quoted.
    """
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = [str(part) for part in fault["loc"]]
        if len(path) > 1:  # the first part is the kind
            path = path[1:]
        field = ".".join(path) or "kind"
        message = "the decision's kind is unknown" if fault["type"].startswith("union_tag") else fault["msg"]
    raise RequestError(fault["type"], message, f"decision.{field}" if field != "decision" else field)


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that was made: the ``number``th of its note. ``title`` is that of the code it brought in, as the
    classification had it then; ``target_type`` is the type of the entity that it is about, before it."""

    number: int
    by: str
    at: datetime
    decision: Decision
    title: str | None = None
    target_type: str | None = None

    @classmethod
    def from_row(cls, row: DecisionRow) -> Self:
        body: dict[str, Any] = dict(row.body)
        known: Mapping[str, Any] = body.pop("known", None) or {}
        return cls(row.number, row.by, row.at, parse_decision(body), known.get("title"), known.get("type"))

    def to_row(self, note_id: str) -> DecisionRow:
        """``body`` is the decision as sent, with what was known of its target under ``known``."""
        body = self.decision.model_dump(mode="json", exclude_none=True)
        known = {"title": self.title, "type": self.target_type}
        body["known"] = {name: value for name, value in known.items() if value is not None}
        return DecisionRow(
            note_id=note_id, number=self.number, at=self.at, by=self.by, kind=self.decision.kind, body=body
        )
