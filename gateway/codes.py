"""The classification for people who pick a code: search by words, titles, and which codes a claim may carry."""

import threading
from functools import cached_property
from typing import TypedDict

from clincode.icd import build_terminology
from clincode.icd.search import CodeSearch
from clincode.icd.synonyms import load_synonyms
from clincode.icd.terminology import Terminology


class CodeHit(TypedDict):
    code: str
    title: str
    term: str
    billable: bool


class CodePicker:
    """The current ICD-10-CM. Built at its first use, in about two seconds; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def search(self, query: str, *, limit: int = 20, billable_only: bool = False) -> list[CodeHit]:
        """Codes for words or for the start of a code, best first; ``term`` is the name that the words met."""
        hits = self._built.search(query, limit=limit, billable_only=billable_only)
        return [{"code": hit.code, "title": hit.title, "term": hit.term, "billable": hit.billable} for hit in hits]

    def describe(self, code: str) -> str | None:
        """The official title of a code in its usual spelling ("E11.9"), or null."""
        return self.terminology.title(code) if code in self.terminology else None

    def is_billable(self, code: str) -> bool:
        return code in self.terminology and self.terminology.is_billable(code)

    @property
    def terminology(self) -> Terminology:
        return self._built.terminology

    @property
    def _built(self) -> CodeSearch:
        with self._lock:
            return self._search

    @cached_property
    def _search(self) -> CodeSearch:
        terminology = build_terminology()
        return CodeSearch(terminology, load_synonyms(terminology))
