"""``clincode codes``: look a code up, or find codes by words, in the whole of ICD-10-CM."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from clincode.icd import Terminology
    from clincode.icd.search import CodeSearch, Hit

LABELS = {
    "inclusion_terms": "inclusion terms",
    "includes": "includes",
    "excludes1": "excludes1 (never coded together)",
    "excludes2": "excludes2 (not part of it)",
    "code_first": "code first",
    "use_additional": "use additional",
    "code_also": "code also",
    "notes": "notes",
}
"""The notes of the tabular list in the order in which they are shown."""
_OWN_ONLY = "inclusion_terms"
"""Names what is coded at the very code; every other note holds for what is below as well."""


def codes(
    query: Annotated[list[str], typer.Argument(help="a code, the start of one, or words of a title or term")],
    limit: Annotated[int, typer.Option(min=1, help="codes to list at most")] = 20,
    billable: Annotated[bool, typer.Option("--billable", help="list only codes that a claim may carry")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Search ICD-10-CM for codes; of a whole code, show all that the tabular list says."""
    from clincode.errors import ResourceError
    from clincode.icd.search import find_code

    text = " ".join(query)
    try:
        terminology = _terminology()
        code = None if billable else find_code(terminology, text)
        hits = () if code else _search().search(text, limit=limit, billable_only=billable)
    except ResourceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    if code:
        _print_code(terminology, code, as_json)
    elif hits:
        _print_hits(terminology.release, text, hits, as_json)
    else:
        kind = "billable code" if billable else "code"
        typer.echo(f"error: no {kind} of ICD-10-CM {terminology.release} fits '{text}'", err=True)
        raise typer.Exit(1)


@cache
def _terminology() -> "Terminology":
    """The release of the installed package. Remembered, for whoever asks more than once in a process."""
    from clincode.icd import build_terminology

    return build_terminology()


@cache
def _search() -> "CodeSearch":
    from clincode.icd.search import CodeSearch
    from clincode.icd.synonyms import load_synonyms

    return CodeSearch(_terminology(), load_synonyms(_terminology()))


def described(terminology: "Terminology", code: str) -> dict[str, Any]:
    """All that the list says of a chapter, a block or a code, ready for JSON.

    ``hierarchy`` goes from the chapter down to the code. Each kind of note is a list of ``{"at", "text"}``, the code's
    own first, then those it inherits, from the nearest up.
    """
    above = terminology.ancestors(code)
    notes: dict[str, list[dict[str, str]]] = {}
    for kind in LABELS:
        places = (code,) if kind == _OWN_ONLY else (code, *above)
        notes[kind] = [{"at": at, "text": text} for at in places for text in getattr(terminology[at], kind)]
    return {
        "release": terminology.release,
        "code": code,
        "title": terminology.title(code),
        "billable": terminology.is_billable(code),
        "hierarchy": [{"code": each, "title": terminology.title(each)} for each in (*above[::-1], code)],
        **notes,
        "seventh_characters": terminology.seventh_characters(code),
        "children": [
            {"code": each, "title": terminology.title(each), "billable": terminology.is_billable(each)}
            for each in terminology.children(code)
        ],
    }


def _print_code(terminology: "Terminology", code: str, as_json: bool) -> None:
    known = described(terminology, code)
    if as_json:
        typer.echo(json.dumps(known, indent=2, ensure_ascii=False))
        return
    # Titles have brackets of their own, which are no markup.
    console = Console(markup=False, highlight=False)
    console.print(f"ICD-10-CM {known['release']}, {code}: {_status(known)}", style="bold")
    for depth, each in enumerate(known["hierarchy"]):
        _print_line(console, f"{'› ' if depth else ''}{each['code']}  {each['title']}", depth)
    for kind, label in LABELS.items():
        # What follows "code first" and its like may begin in the middle of a sentence.
        notes = [(note["text"].lstrip(", "), note["at"]) for note in known[kind]]
        _print_section(console, label, [text if at == code else f"{text}  (at {at})" for text, at in notes])
    characters = known["seventh_characters"].items()
    _print_section(console, "7th characters", [f"{character}  {meaning}" for character, meaning in characters])
    below = known["children"]
    _print_section(console, "below", [f"{c['code']}  {c['title']}{_mark(c['billable'], '  ')}" for c in below])


def _status(known: Mapping[str, Any]) -> str:
    if known["billable"]:
        return "billable"
    return "billable with a 7th character" if known["seventh_characters"] else "not billable, a code below may be"


def _print_section(console: Console, label: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n{label}", style="bold")
    for line in lines:
        _print_line(console, line, 1)


def _print_line(console: Console, line: str, depth: int) -> None:
    """What is too long goes on under its own beginning."""
    console.print(Padding(Text(line), (0, 0, 0, 2 * depth)))


def _print_hits(release: str, query: str, hits: "tuple[Hit, ...]", as_json: bool) -> None:
    if as_json:
        rows = [
            {"code": hit.code, "title": hit.title, "term": hit.term, "billable": hit.billable}
            | {"children": hit.children, "score": round(hit.score, 3)}
            for hit in hits
        ]
        typer.echo(json.dumps({"release": release, "query": query, "hits": rows}, indent=2, ensure_ascii=False))
        return
    table = Table(title=Text(f"ICD-10-CM {release}: {query}"))
    table.add_column("code", no_wrap=True)
    table.add_column("title", ratio=3)
    table.add_column("billable")
    table.add_column("below", justify="right")
    table.add_column("matched term", ratio=2)
    for hit in hits:
        term = "" if hit.term == hit.title else hit.term
        below = str(hit.children) if hit.children else ""
        table.add_row(hit.code, Text(hit.title), _mark(hit.billable), below, Text(term))
    Console().print(table)


def _mark(billable: bool, before: str = "") -> str:
    return f"{before}✓" if billable else ""
