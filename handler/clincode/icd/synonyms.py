"""Short forms and lay terms that a coder meets daily, curated by hand: ``resources/icd_synonyms.tsv``.

The list of a code year can drop or divide a code, so each row is checked against the terminology that is loaded.
"""

import os
from importlib import resources
from pathlib import Path

from clincode.config import OWN_RULES
from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology

SYNONYMS_FILE = "icd_synonyms.tsv"


def load_synonyms(terminology: Terminology) -> dict[str, str]:
    """Term → billable code; rows are ``term TAB code`` and optionally ``TAB note``, ``#`` opens a comment line.

    Rows of a file of that name in the folder that ``CLINCODE_RULES`` names come beside, and in place of the package's.

    Raises:
        ResourceError: naming the line whose code is not billable in this release, or that is not such a row.
    """
    text = resources.files("clincode").joinpath("resources", SYNONYMS_FILE).read_text(encoding="utf-8")
    synonyms = parse_synonyms(text, terminology)
    own = Path(os.environ.get(OWN_RULES) or ".") / SYNONYMS_FILE
    if os.environ.get(OWN_RULES) and own.is_file():
        synonyms |= parse_synonyms(own.read_text(encoding="utf-8"), terminology)
    return synonyms


def parse_synonyms(text: str, terminology: Terminology) -> dict[str, str]:
    """The rows of the file's text; see ``load_synonyms``."""
    synonyms: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        place = f"{SYNONYMS_FILE}:{number}"
        if len(cells) not in (2, 3) or not cells[0] or not cells[1]:
            raise ResourceError(f"{place}: expected 'term TAB code', and a note if there is one")
        term, code = cells[0].lower(), cells[1]
        if term in synonyms:
            raise ResourceError(f"{place}: the term '{term}' stands there twice")
        if not terminology.is_billable(code):
            raise ResourceError(f"{place}: {code} is no billable code of ICD-10-CM {terminology.release}")
        synonyms[term] = code
    return synonyms
