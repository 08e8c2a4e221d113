"""Procedure codes from the user's own licensed list. CPT is the American Medical Association's: none of it is here."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clincode.errors import ResourceError
from clincode.icd.normalise import bag, key, related_bag, words
from clincode.icd.source_files import table_rows

CPT = "CLINCODE_CPT"
"""Environment variable: the user's CPT file, as ``ProcedureTerms.load`` takes it."""
COLUMNS = ("code", "description")
WHAT = (
    "your own CPT list, which needs a licence of the American Medical Association: a tab-separated table with the "
    "header " + " ".join(COLUMNS)
)
_CODE = re.compile(r"\d{4}[0-9A-Z]")


@dataclass(frozen=True, slots=True)
class ProcedureCode:
    """A code and one of its descriptions, as the user's list has them."""

    code: str
    description: str


class ProcedureTerms:
    """Finds codes by the words of their descriptions. Not changed by use; a code may have several descriptions."""

    def __init__(self, procedures: Iterable[ProcedureCode]) -> None:
        ordered: dict[str, list[ProcedureCode]] = {}
        reordered: dict[str, list[ProcedureCode]] = {}
        related: dict[str, list[ProcedureCode]] = {}
        for procedure in procedures:
            canonical = words(procedure.description)
            if canonical:
                ordered.setdefault(key(procedure.description), []).append(procedure)
                reordered.setdefault(bag(canonical), []).append(procedure)
                related.setdefault(related_bag(canonical), []).append(procedure)
        self._ordered, self._reordered, self._related = ordered, reordered, related

    @classmethod
    def load(cls, path: Path) -> "ProcedureTerms":
        """Read a table with the columns code (four digits, then a digit or a capital letter) and description.

        Raises:
            ResourceError: the file is missing, or a row is malformed; names file and line, never the description.
        """
        procedures = []
        for number, (code, description) in table_rows(path, COLUMNS, WHAT):
            if not _CODE.fullmatch(code) or not description:
                raise ResourceError(f"{path}:{number}: expected a CPT code and its description")
            procedures.append(ProcedureCode(code, description))
        return cls(procedures)

    def find(self, mention: str, limit: int = 5) -> tuple[ProcedureCode, ...]:
        """Codes whose description has the words of the mention: all of them and no other that says anything.

        The nearest kind of match decides: in their order, in any order, with words of one meaning made one. Each code
        once, in the order of the list; none where nothing fits.
        """
        canonical = words(mention)
        if not canonical or limit < 1:
            return ()
        found = (
            self._ordered.get(key(mention))
            or self._reordered.get(bag(canonical))
            or self._related.get(related_bag(canonical))
            or ()
        )
        first: dict[str, ProcedureCode] = {}
        for procedure in found:
            first.setdefault(procedure.code, procedure)
        return tuple(first.values())[:limit]


def own_procedures(environ: Mapping[str, str] = os.environ) -> ProcedureTerms | None:
    """The list that ``CLINCODE_CPT`` names, or None where it names none; raises as ``ProcedureTerms.load``."""
    named = environ.get(CPT)
    return ProcedureTerms.load(Path(named)) if named else None
