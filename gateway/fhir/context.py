"""What is kept of a FHIR document beside its note, so that the answer can refer to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from clincode.types import Note


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """Where a note came from. References are as they were sent; none of them points into the document itself (``#id``).

    ``document`` is ``DocumentReference/<id>`` (for a Bundle's entry without an id its ``urn:uuid:`` fullUrl),
    ``version`` its ``meta.versionId``, ``content`` the index of the attachment that was read, ``date`` the document's
    own, ISO 8601.
    """

    note_id: str
    note_type: str
    document: str | None = None
    version: str | None = None
    content: int = 0
    subject: str | None = None
    subject_system: str | None = None
    subject_value: str | None = None
    """With ``subject_system`` the patient's identifier, for a subject that is named by identifier alone."""
    encounter: str | None = None
    author: str | None = None
    date: str | None = None

    def to_dict(self) -> dict[str, str | int | None]:
        """JSON-ready; ``from_dict`` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The context that ``to_dict`` wrote. Raises ``TypeError`` where a field is unknown or missing."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class IncomingDocument:
    """A note that fits the contract, and the document that it was read from."""

    note: Note
    context: DocumentContext

    @property
    def subject(self) -> str | None:
        return self.context.subject

    @property
    def encounter(self) -> str | None:
        return self.context.encounter

    @property
    def document(self) -> str | None:
        return self.context.document
