"""The names of versions: ``bert-clinical-ner-v1.2.3``, and variants such as ``bert-clinical-ner-v1.2.3-base``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Part = Literal["major", "minor", "patch"]

NAME = "bert-clinical-ner"
_NUMBER = r"(0|[1-9]\d*)"
_VERSION = re.compile(rf"{NAME}-v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([a-z]+))?")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Ordered by numbers, then by variant; the plain one comes first."""

    major: int
    minor: int
    patch: int
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Raises ``ValueError`` for what is no such name, a leading zero included."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' is no version: they are {NAME}-v1.2.3, or {NAME}-v1.2.3-variant")
        major, minor, patch, variant = match.groups()
        return cls(int(major), int(minor), int(patch), variant or "")

    def __str__(self) -> str:
        return f"{NAME}-v{self.major}.{self.minor}.{self.patch}" + (f"-{self.variant}" if self.variant else "")


def parsed(names: Iterable[str]) -> list[Version]:
    """The versions among ``names``, oldest first; other names are passed over."""
    return sorted(Version.parse(name) for name in names if _VERSION.fullmatch(name))


def next_version(versions: Iterable[Version], part: Part, variant: str = "") -> Version:
    """The one after the newest of that variant; the first ones are v1.0.0, v0.1.0 and v0.0.1."""
    last = max((v for v in versions if v.variant == variant), default=Version(0, 0, 0, variant))
    if part == "major":
        return Version(last.major + 1, 0, 0, variant)
    if part == "minor":
        return Version(last.major, last.minor + 1, 0, variant)
    return Version(last.major, last.minor, last.patch + 1, variant)
