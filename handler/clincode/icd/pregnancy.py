"""A disease in pregnancy is coded in chapter 15 (guideline I.C.15.a): which code is the pregnant patient's."""

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.said import Said
from clincode.icd.terminology import Terminology

PREGNANCY_FILE = "icd_pregnancy.tsv"


class Pregnancy:
    """Condition → its code in pregnancy, for the longest beginning that the table has.

    Raises:
        ResourceError: a row names a code that is not billable in this release, or a beginning twice.
    """

    def __init__(self, terminology: Terminology) -> None:
        self._codes: dict[str, str] = {}
        for row in load_tsv_resource(PREGNANCY_FILE, ("condition", "pregnant")):
            condition, code = row["condition"], row["pregnant"]
            if condition in self._codes:
                raise ResourceError(f"{PREGNANCY_FILE}: '{condition}' stands there twice")
            if not terminology.is_billable(code):
                raise ResourceError(
                    f"{PREGNANCY_FILE}: '{condition}': {code} is no billable code of {terminology.release}"
                )
            self._codes[condition] = code

    def code(self, code: str, said: Said) -> str | None:
        """The pregnant patient's code, of an unspecified trimester; None where the note or the table has none."""
        if not said.pregnant or code[0] == "O":
            return None
        return next((self._codes[code[:n]] for n in range(len(code), 0, -1) if code[:n] in self._codes), None)
