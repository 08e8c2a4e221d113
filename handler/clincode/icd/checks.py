"""Checks that several tables of codes share."""

from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology


def check_billable(terminology: Terminology, place: str, code: str | None) -> None:
    if code is not None and not terminology.is_billable(code):
        raise ResourceError(f"{place}: {code} is no billable code of ICD-10-CM {terminology.release}")
