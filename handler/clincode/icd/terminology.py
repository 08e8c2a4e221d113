"""The ICD-10-CM tabular list of one release, as one small file and as a lookup.

Chapters (``"Chapter 9"``), blocks (``"I20-I25"``, one-category blocks as ``"B99-B99"``) and codes (``"I21.9"``) are all
entries of one tree. Codes that only a 7th character makes complete (``"S52.501A"``) are not stored but derived from
their base and the definition of the character, which halves the file and the memory.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clincode.errors import BundleError

FORMAT = 1
CHAPTER_PREFIX = "Chapter "
NOTE_FIELDS = (
    "inclusion_terms",
    "includes",
    "excludes1",
    "excludes2",
    "code_first",
    "use_additional",
    "code_also",
    "notes",
)
_MAX_CODE_LENGTH = 8  # seven characters and the dot


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """A line of the tabular list with the notes that stand at it; notes of its ancestors hold for it too.

    ``billable`` is true of a code that has nothing below it: the only kind that a claim may carry.
    """

    code: str
    title: str
    billable: bool
    parent: str | None
    inclusion_terms: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    excludes1: tuple[str, ...] = ()
    excludes2: tuple[str, ...] = ()
    code_first: tuple[str, ...] = ()
    use_additional: tuple[str, ...] = ()
    code_also: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether this is a chapter or a block and not a code."""
        return is_group(self.code)


@dataclass(frozen=True, slots=True)
class TabularList:
    """What the file holds. ``parents[i]`` is an index into ``codes`` (-1: a chapter) and smaller than ``i``.

    ``extended`` maps a base code to the index of its definition in ``seventh`` and the characters allowed for it.
    ``notes`` maps a field of ``NOTE_FIELDS`` to the notes of each code that has any.
    """

    release: str
    codes: Sequence[str]
    titles: Sequence[str]
    parents: Sequence[int]
    seventh: Sequence[Mapping[str, str]]
    extended: Mapping[str, tuple[int, str]]
    notes: Mapping[str, Mapping[str, Sequence[str]]]


class Terminology:
    """The tabular list; ``terminology[code]`` takes codes with the dot. Not changed by use."""

    def __init__(self, tabular: TabularList) -> None:
        _check(tabular)
        codes = tabular.codes
        self._tabular = tabular
        self._position = {code: i for i, code in enumerate(codes)}
        children: dict[str, list[str]] = {}
        for code, parent in zip(codes, tabular.parents, strict=True):
            if parent >= 0:
                children.setdefault(codes[parent], []).append(code)
        for base, (_, characters) in tabular.extended.items():
            children[base] = [pad(base) + character for character in characters]
        self._children = {code: tuple(below) for code, below in children.items()}

    @property
    def release(self) -> str:
        """Name of the release that the list was built from, e.g. ``April 2026``."""
        return self._tabular.release

    def __contains__(self, code: object) -> bool:
        return isinstance(code, str) and (code in self._position or self._split_extended(code) is not None)

    def __getitem__(self, code: str) -> CodeEntry:
        """Raises ``KeyError`` for a code that is not of this release."""
        position = self._position.get(code)
        if position is None:
            split = self._split_extended(code)
            if split is None:
                raise KeyError(code)
            return CodeEntry(code, self.title(code), True, split[0])
        parent = self._tabular.parents[position]
        notes = {name: tuple(self._tabular.notes.get(name, {}).get(code, ())) for name in NOTE_FIELDS}
        above = self._tabular.codes[parent] if parent >= 0 else None
        return CodeEntry(code, self._tabular.titles[position], self.is_billable(code), above, **notes)

    def __len__(self) -> int:
        return len(self._position) + sum(len(characters) for _, characters in self._tabular.extended.values())

    def __iter__(self) -> Iterator[str]:
        """Every chapter, block and code, in the order of the list."""
        for code in self._tabular.codes:
            yield code
            if code in self._tabular.extended:
                yield from self._children[code]

    def base_codes(self) -> Iterator[str]:
        """Codes in the order of the list, without those that a 7th character completes and without groups."""
        return (code for code in self._tabular.codes if not is_group(code))

    def title(self, code: str) -> str:
        """The official description."""
        position = self._position.get(code)
        if position is not None:
            return self._tabular.titles[position]
        split = self._split_extended(code)
        if split is None:
            raise KeyError(code)
        base, character = split
        return f"{self.title(base)}, {self._seventh(base)[character]}"

    def is_billable(self, code: str) -> bool:
        """False for groups, for codes with anything below them, and for what is no code of this release."""
        if code in self._position:
            return code not in self._children and not is_group(code)
        return self._split_extended(code) is not None

    def terms(self, code: str) -> tuple[str, ...]:
        """Inclusion terms and includes notes: other names of what is coded here."""
        return tuple(self._note("inclusion_terms", code)) + tuple(self._note("includes", code))

    def parent(self, code: str) -> str | None:
        position = self._position.get(code)
        if position is not None:
            above = self._tabular.parents[position]
            return self._tabular.codes[above] if above >= 0 else None
        split = self._split_extended(code)
        if split is None:
            raise KeyError(code)
        return split[0]

    def children(self, code: str) -> tuple[str, ...]:
        """What stands directly below, in the order of the list; empty for a billable code."""
        if code not in self:
            raise KeyError(code)
        return self._children.get(code, ())

    def seventh_characters(self, code: str) -> dict[str, str]:
        """The 7th characters that complete a code, each with its meaning; empty for a code that needs none."""
        if code not in self._tabular.extended:
            return {}
        meanings = self._seventh(code)
        return {character: meanings[character] for character in self._tabular.extended[code][1]}

    def ancestors(self, code: str) -> tuple[str, ...]:
        """From the parent up to the chapter."""
        above = []
        parent = self.parent(code)
        while parent is not None:
            above.append(parent)
            parent = self.parent(parent)
        return tuple(above)

    def descendants(self, code: str) -> Iterator[str]:
        """Everything below, depth first, in the order of the list."""
        for child in self.children(code):
            yield child
            yield from self.descendants(child)

    def save(self, path: Path) -> None:
        """Write the list as gzipped JSON; the same list gives the same bytes. The file is whole or not there."""
        data = {
            "format": FORMAT,
            **{name: getattr(self._tabular, name) for name in TabularList.__dataclass_fields__},
        }
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream:
            stream.write(text.encode("utf-8"))
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(buffer.getvalue())
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> "Terminology":
        """Read what ``save`` wrote.

        Raises:
            BundleError: the file is missing, damaged or of another format; the message names it.
        """
        try:
            data = json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
            raise BundleError(f"{path}: not a readable ICD-10-CM list ({type(error).__name__})") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BundleError(f"{path}: not an ICD-10-CM list of format {FORMAT}; build it again")
        try:
            return cls(_tabular(data))
        except (BundleError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"{path}: damaged ICD-10-CM list ({error})") from error

    def _note(self, field: str, code: str) -> Sequence[str]:
        return self._tabular.notes.get(field, {}).get(code, ())

    def _seventh(self, base: str) -> Mapping[str, str]:
        return self._tabular.seventh[self._tabular.extended[base][0]]

    def _split_extended(self, code: str) -> tuple[str, str] | None:
        """Base and 7th character of a code that is complete only with it."""
        if len(code) != _MAX_CODE_LENGTH:
            return None
        stem, character = code[:-1], code[-1]
        for base in dict.fromkeys((stem, stem.rstrip("X"), stem.rstrip("X").rstrip("."))):
            definition = self._tabular.extended.get(base)
            if definition is not None and character in definition[1] and pad(base) == stem:
                return base, character
        return None


def is_group(code: str) -> bool:
    """Whether a name is that of a chapter or a block."""
    return "-" in code or code.startswith(CHAPTER_PREFIX)


def pad(base: str) -> str:
    """A code filled with the placeholder X up to the place of its 7th character: ``S00.00`` → ``S00.00X``."""
    dotted = base if "." in base else base + "."
    return dotted.ljust(_MAX_CODE_LENGTH - 1, "X")


def _tabular(data: Mapping[str, Any]) -> TabularList:
    fields = {name: data[name] for name in TabularList.__dataclass_fields__}
    fields["extended"] = {base: (int(row[0]), str(row[1])) for base, row in data["extended"].items()}
    return TabularList(**fields)


def _check(tabular: TabularList) -> None:
    """Raise ``BundleError`` for a list that cannot be a tree of codes."""
    codes, known = tabular.codes, set(tabular.codes)
    fault = None
    if not codes or not len(codes) == len(tabular.titles) == len(tabular.parents):
        fault = "codes, titles and parents must be as many as each other, and some"
    elif len(known) != len(codes):
        fault = "a code stands there twice"
    elif not all(isinstance(text, str) and text for text in (*codes, *tabular.titles, tabular.release)):
        fault = "codes, titles and the release must be text"
    elif any(not -1 <= parent < i for i, parent in enumerate(tabular.parents)):
        fault = "a parent must stand before its children"
    elif set(tabular.notes) - set(NOTE_FIELDS) or any(set(notes) - known for notes in tabular.notes.values()):
        fault = "notes of an unknown kind or code"
    else:
        for base, (index, characters) in tabular.extended.items():
            if base not in known or not 0 <= index < len(tabular.seventh):
                fault = f"7th characters of '{base}' have no code or no definition"
            elif set(characters) - set(tabular.seventh[index]):
                fault = f"'{base}' has a 7th character that its definition does not name"
    if fault:
        raise BundleError(fault)
