"""From the published tabular list (XML, and the flat list of valid codes) to a ``Terminology``.

The files are those that the National Center for Health Statistics publishes for each release; the package
``simple-icd-10-cm`` carries them. Needed where a bundle is built, never where notes are coded.
"""

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from clincode.errors import ResourceError
from clincode.icd.terminology import CHAPTER_PREFIX, NOTE_FIELDS, TabularList, Terminology, pad

_PACKAGE = "simple_icd_10_cm"
_LIST_NAME = re.compile(r"code-list-(?P<release>.+)")
_NOTE_TAGS = {
    "inclusionTerm": "inclusion_terms",
    "includes": "includes",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "codeFirst": "code_first",
    "useAdditionalCode": "use_additional",
    "codeAlso": "code_also",
    "notes": "notes",
}


def build_terminology(tabular: Path | None = None, code_list: Path | None = None) -> Terminology:
    """Read a release of ICD-10-CM: by default the one that the installed ``simple-icd-10-cm`` carries.

    ``tabular`` is the XML tabular list and ``code_list`` the list of valid codes, one a line, whose file name
    ``code-list-<release>.txt`` names the release. The list is needed because it alone says which 7th characters are
    valid for which code.

    Raises:
        ResourceError: the package or a file is missing or cannot be read.
    """
    if tabular is None or code_list is None:
        tabular, code_list = _packaged_files()
    try:
        valid = {line.split()[0].replace(".", "") for line in _lines(code_list)}
        root = ElementTree.parse(tabular).getroot()
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ResourceError(f"{tabular} and {code_list}: not a readable tabular list ({error})") from error
    release = _LIST_NAME.fullmatch(code_list.stem)
    reader = _Reader(frozenset(valid))
    for chapter in root.findall("chapter"):
        reader.read(chapter, -1, None)
    name = release["release"].replace("-", " ") if release else root.findtext("version", "unknown")
    return Terminology(reader.finish(name))


def _packaged_files() -> tuple[Path, Path]:
    """The package is found but not imported: importing it would parse everything a second time."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ResourceError("the package simple-icd-10-cm, which carries ICD-10-CM, is not installed")
    data = Path(spec.submodule_search_locations[0]) / "data"
    tabular, lists = sorted(data.glob("*tabular*.xml")), sorted(data.glob("code-list-*.txt"))
    if len(tabular) != 1 or len(lists) != 1:
        raise ResourceError(
            f"{data}: expected one tabular list and one code list, found {len(tabular)} and {len(lists)}"
        )
    return tabular[0], lists[0]


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@dataclass(slots=True)
class _Reader:
    """Walks the XML tree and gathers the columns of a ``TabularList``."""

    valid: frozenset[str]
    codes: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    seventh: list[dict[str, str]] = field(default_factory=list)
    extended: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {name: {} for name in NOTE_FIELDS})

    def read(self, node: ElementTree.Element, parent: int, inherited: int | None) -> None:
        """Take in a node and what is below it; ``inherited`` is the definition of 7th characters in force."""
        code = _code_of(node)
        position = len(self.codes)
        self.codes.append(code)
        self.titles.append(_clean(node.findtext("desc")))
        self.parents.append(parent)
        self._read_notes(code, node)
        definition = self._definition(node, inherited)
        below = [child for child in node if child.tag in ("section", "diag")]
        for child in below:
            self.read(child, position, definition)
        if node.tag == "diag" and not below and definition is not None:
            characters = "".join(c for c in self.seventh[definition] if (pad(code) + c).replace(".", "") in self.valid)
            if characters:
                self.extended[code] = (definition, characters)

    def finish(self, release: str) -> TabularList:
        notes = {name: by_code for name, by_code in self.notes.items() if by_code}
        return TabularList(release, self.codes, self.titles, self.parents, self.seventh, self.extended, notes)

    def _read_notes(self, code: str, node: ElementTree.Element) -> None:
        for group in node:
            if group.tag in _NOTE_TAGS:
                texts = [text for note in group.findall("note") if (text := _clean(note.text))]
                self.notes[_NOTE_TAGS[group.tag]].setdefault(code, []).extend(texts)

    def _definition(self, node: ElementTree.Element, inherited: int | None) -> int | None:
        group = node.find("sevenChrDef")
        if group is None:
            return inherited
        characters: dict[str, str] = {}
        last = None
        for item in group:
            if item.tag == "extension":
                last = item.attrib["char"]
                characters[last] = _clean(item.text)
            elif item.tag == "note" and last is not None:
                # A second line of the same character's definition.
                characters[last] += "/" + _clean(item.text)
        if characters not in self.seventh:
            self.seventh.append(characters)
        return self.seventh.index(characters)


def _code_of(node: ElementTree.Element) -> str:
    if node.tag == "section":
        name = node.attrib["id"]
        # A block of one category would else have the name of the category.
        return name if "-" in name else f"{name}-{name}"
    name = _clean(node.findtext("name"))
    return CHAPTER_PREFIX + name if node.tag == "chapter" else name


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())
