"""ICD-10-CM: the terminology, the linker from mentions to codes, and the coder of a whole note."""

from clincode.icd.coder import Coder
from clincode.icd.confidence import MatchKind
from clincode.icd.linker import IcdLinker
from clincode.icd.linking_model import LinkingModel
from clincode.icd.mention import Mention
from clincode.icd.name_scan import with_names
from clincode.icd.sources import own_names
from clincode.icd.tabular import build_terminology
from clincode.icd.terminology import CodeEntry, Terminology

__all__ = [
    "CodeEntry",
    "Coder",
    "IcdLinker",
    "LinkingModel",
    "MatchKind",
    "Mention",
    "Terminology",
    "build_terminology",
    "own_names",
    "with_names",
]
