"""Symptoms that belong to a diagnosis: ``icd_integral.tsv`` (guideline I.B.5)."""

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology, is_group

INTEGRAL_FILE = "icd_integral.tsv"


def load_integral(terminology: Terminology) -> tuple[tuple[str, str], ...]:
    """Pairs of a symptom's and a diagnosis's code or the start of one, as ``icd_integral.tsv`` has them.

    Raises:
        ResourceError: naming the row where one starts no code of this release.
    """
    rows = [(row["symptom"], row["diagnosis"]) for row in load_tsv_resource(INTEGRAL_FILE, ("symptom", "diagnosis"))]
    for row in rows:
        for prefix in row:
            if not _starts_a_code(prefix, terminology):
                raise ResourceError(
                    f"{INTEGRAL_FILE}: '{row[0]}' with '{row[1]}': '{prefix}' starts no code of ICD-10-CM "
                    f"{terminology.release}"
                )
    return tuple(rows)


def _starts_a_code(prefix: str, terminology: Terminology) -> bool:
    if prefix in terminology:
        return not is_group(prefix)
    return bool(prefix) and any(code.startswith(prefix) for code in terminology.base_codes())
