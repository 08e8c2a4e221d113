"""What can go wrong with one note, and how it is said. No message ever quotes a note."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The contract's error envelope, without its HTTP status."""

    code: str
    message: str
    field: str | None = None

    def to_dict(self) -> dict[str, dict[str, str | None]]:
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


class ClincodeError(Exception):
    """Base of the errors that a client may see; ``status`` is the HTTP status it stands for."""

    status = 500

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.body = ErrorBody(code, message, field)


class RequestError(ClincodeError):
    """The request is refused: a 4xx that names the field at fault."""

    def __init__(self, code: str, message: str, field: str | None = None, *, status: int = 422) -> None:
        super().__init__(code, message, field)
        self.status = status


class AnalysisError(ClincodeError):
    """A stage failed on this note. Names the stage and the exception's type, nothing of the note."""

    def __init__(self, stage: str, cause: str) -> None:
        super().__init__("analysis_failed", f"the stage '{stage}' failed ({cause})")


class BundleError(Exception):
    """A model folder or one of its files is missing, damaged or does not fit this code."""


class ResourceError(Exception):
    """A data file of the package is malformed; names the file, the entry and the key."""
