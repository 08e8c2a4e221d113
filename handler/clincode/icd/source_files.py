"""How the files that a user brings are read: tables with a header, codes as others write them, and names as keys."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology, is_group

_CATEGORY_LENGTH = 3
_PLACEHOLDER = "X"
_OPEN_CHARACTER = "?"


def text_lines(path: Path, what: str) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their ends, as a stream: such a file can have 100 MB.

    Raises:
        ResourceError: the file is missing or no text in UTF-8; names it, and ``what`` it should be.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                yield number, line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reasons = {FileNotFoundError: "no such file", UnicodeDecodeError: "no text in UTF-8"}
        reason = reasons.get(type(error), type(error).__name__)
        raise ResourceError(f"{path}: cannot be read ({reason}); expected {what}") from error


def table_rows(path: Path, columns: Sequence[str], what: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line numbers and cells, trimmed, of two or more ``columns`` in the order asked for; other columns are skipped.

    The file is tab-separated without quotes and has a header; blank lines are skipped.

    Raises:
        ResourceError: as ``text_lines``; the header lacks a column; a row has more or fewer cells than the header.
    """
    lines = text_lines(path, what)
    header = [name.strip() for name in next(lines, (1, ""))[1].split("\t")]
    missing = [name for name in columns if name not in header]
    if missing:
        raise ResourceError(f"{path}:1: the header has no {', '.join(missing)}; expected {what}")
    pick = itemgetter(*(header.index(name) for name in columns))
    for number, line in lines:
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            raise ResourceError(f"{path}:{number}: {len(cells)} columns, the header has {len(header)}")
        yield number, tuple(map(str.strip, pick(cells)))


def code_of_release(written: str, terminology: Terminology) -> str | None:
    """The code, billable or not, that a source means, or None where the release has no such code; ranges are none.

    Sources leave out the dot ("I219"), fill short codes with X, and write ``?`` for a 7th character that they do not
    know ("S52.501?", "W19.XXX?"): that one is the code above, which is not billable.
    """
    if is_group(written):
        return None
    text = written.strip().upper().rstrip(_OPEN_CHARACTER)
    if "." not in text and len(text) > _CATEGORY_LENGTH:
        text = f"{text[:_CATEGORY_LENGTH]}.{text[_CATEGORY_LENGTH:]}"
    for code in (text, text.rstrip(_PLACEHOLDER).rstrip(".")):
        if code in terminology:
            return code
    return None


def name_key(text: str) -> str:
    """A name in lower case with single spaces."""
    return " ".join(text.lower().split())
