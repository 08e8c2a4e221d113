"""What the pages call things: one table for each list of names that the contract has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """``label`` stands on the code, ``meaning`` says what a coder must look at."""

    label: str
    meaning: str


FLAGS = {
    "unspecified": Flag("unspecified", "The title leaves something open that the note may say."),
    "needs_laterality": Flag("side missing", "The code says no side, and codes beside it do."),
    "encounter_assumed": Flag("encounter assumed", "Initial encounter was taken, for the note says none."),
    "manifestation": Flag("manifestation", "The underlying disease must be coded first."),
    "excludes1_conflict": Flag("Excludes1", "An Excludes1 note stands against another code of this list."),
    "integral_symptom": Flag(
        "integral symptom", "The symptom belongs to a diagnosis that is listed (guideline I.B.5)."
    ),
}
TYPES = {
    "DIAGNOSIS": "Diagnosis",
    "PROCEDURE": "Procedure",
    "MEDICATION": "Medication",
    "ANATOMY": "Anatomy",
    "TEST": "Test",
}
LETTERS = {name: name[0] for name in TYPES}
CERTAINTIES = {"affirmed": "affirmed", "negated": "negated", "possible": "possible"}
TEMPORALITIES = {"current": "current", "historical": "history of", "hypothetical": "hypothetical"}
EXPERIENCERS = {"patient": "the patient", "family": "family", "other": "somebody else"}
MARKS = {"negated": "no", "possible": "?", "historical": "hx", "hypothetical": "if", "family": "fam", "other": "oth"}
"""What stands before an entity in the note, for what is not affirmed, current and the patient's."""
REASONS = {
    "not_documented": "not documented",
    "wrong_context": "negated, past or somebody else's",
    "wrong_specificity": "too specific, or not enough",
    "integral": "part of another diagnosis",
    "duplicate": "said by another code",
    "other": "another reason",
}
CODE_VERDICTS = {
    "undecided": "Undecided",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "replaced": "Replaced",
    "added": "Added",
}
ENTITY_VERDICTS = {
    "undecided": "Undecided",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "corrected": "Corrected",
}
VERDICT_MARKS = {"accepted": "✓", "rejected": "✕", "corrected": "✎"}
STAGES = {"open": "Open", "in_review": "In review", "finished": "Finished"}
STAGE_FILTERS = {
    "todo": "Open and in review",
    "open": "Open",
    "in_review": "In review",
    "finished": "Finished",
    "all": "All",
}
NOTE_TYPES = {
    "discharge_summary": "Discharge summary",
    "progress_note": "Progress note",
    "operative_report": "Operative report",
}
KEYS = (
    ("j k", "next and previous code"),
    ("a", "accept the selected code or entity"),
    ("x", "reject it"),
    ("r", "replace the selected code"),
    ("+", "add a code; the selected entity is its evidence"),
    ("u", "undo: take back what was decided on it"),
    ("e E", "next and previous entity"),
    ("1 … 5", "make the selected entity, or the marked words, a diagnosis, procedure, medication, anatomy or test"),
    ("s", "fix the span: ← → move its start, Shift with ← → its end, ↑ ↓ go to another line, Enter sets it"),
    ("f", "finish the review"),
    ("n", "next note"),
    ("?", "this list"),
    ("Esc", "leave: the span, a dialog, the selection"),
)


def flag(name: str) -> Flag:
    """One that this version does not know is shown by its name."""
    return FLAGS.get(name) or Flag(name.replace("_", " "), "See the guide to coding.")


def note_type(name: str) -> str:
    return NOTE_TYPES.get(name) or name.replace("_", " ").capitalize()


def person(name: str | None) -> str:
    """``user:maria`` as people read it."""
    return (name or "").removeprefix("user:")
