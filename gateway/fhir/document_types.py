"""The contract's note type for a LOINC document code."""

from collections.abc import Iterable

from clincode.types import NoteType

LOINC = "http://loinc.org"

_DISCHARGE = NoteType.DISCHARGE_SUMMARY
_PROGRESS = NoteType.PROGRESS_NOTE
_OPERATIVE = NoteType.OPERATIVE_REPORT

NOTE_TYPES: dict[str, NoteType] = {
    # Written at the end of a stay, on the whole of it.
    "18842-5": _DISCHARGE,  # Discharge summary
    "11490-0": _DISCHARGE,  # Physician Discharge summary
    "34105-7": _DISCHARGE,  # Hospital Discharge summary
    "34106-5": _DISCHARGE,  # Physician Hospital Discharge summary
    "34745-0": _DISCHARGE,  # Nurse Discharge summary
    "18761-7": _DISCHARGE,  # Transfer summary note
    "34755-9": _DISCHARGE,  # Critical care medicine Transfer summary note
    "34770-8": _DISCHARGE,  # General medicine Transfer summary note
    "34133-9": _DISCHARGE,  # Summary of episode note
    # Written on one intervention.
    "11504-8": _OPERATIVE,  # Surgical operation note
    "28570-0": _OPERATIVE,  # Procedure note
    "28624-5": _OPERATIVE,  # Podiatry Operation note
    "34121-4": _OPERATIVE,  # Interventional procedure note
    "34137-0": _OPERATIVE,  # Outpatient Surgical operation note
    "34818-5": _OPERATIVE,  # Otolaryngology Surgical operation note
    # Written in the course of care. What is not listed here is taken for one of them too.
    "11506-3": _PROGRESS,  # Progress note
    "18733-6": _PROGRESS,  # Attending Progress note
    "15507-7": _PROGRESS,  # Emergency department Progress note
    "28569-2": _PROGRESS,  # Consultant Progress note
    "28623-7": _PROGRESS,  # Nurse Progress note
    "34126-3": _PROGRESS,  # Intensive care unit Progress note
    "34130-5": _PROGRESS,  # Hospital Progress note
    "34131-3": _PROGRESS,  # Outpatient Progress note
    "11488-4": _PROGRESS,  # Consult note
    "34104-0": _PROGRESS,  # Hospital Consult note
    "34117-2": _PROGRESS,  # History and physical note
    "11492-6": _PROGRESS,  # Provider-unspecified History and physical note
    "28626-0": _PROGRESS,  # Physician History and physical note
    "28636-9": _PROGRESS,  # Initial evaluation note
    "34111-5": _PROGRESS,  # Emergency department Note
    "34746-8": _PROGRESS,  # Nurse Note
    "34109-9": _PROGRESS,  # Note
}


def note_type_of(codes: Iterable[str | None]) -> NoteType | None:
    """The note type of the first LOINC code that the table has; None where it has none of them."""
    return next((NOTE_TYPES[code] for code in codes if code in NOTE_TYPES), None)
