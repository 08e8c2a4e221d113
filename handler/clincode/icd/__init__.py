"""ICD-10-CM: the terminology, the linker from mentions to codes, and the note's own list."""

from clincode.icd.confidence import MatchKind
from clincode.icd.lookup import IcdLinker
from clincode.icd.note_codes import note_codes
from clincode.icd.tabular import build_terminology
from clincode.icd.terminology import CodeEntry, Terminology

__all__ = ["CodeEntry", "IcdLinker", "MatchKind", "Terminology", "build_terminology", "note_codes"]
