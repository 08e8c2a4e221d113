"""Sentence splitters side by side, on real sentences whose ends are known.

    .venv/bin/python scripts/bench_sentences.py DATA/maccrobat/train [--folder …] [--json OUT]

MACCROBAT's files have a sentence a line. Joined to running prose, and joined and wrapped at 80 columns as reports are
printed, they are split again by our splitter, pysbd, spaCy's sentencizer and PyRuSH (medspaCy's). An end is right where
a line ended; and of the gold entities, those are counted that a split cut in two. The others run in ``.venv-bench``
(see ``scripts/bench_assertions.py``).
"""

import json
import subprocess
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from clincode.sections import split_sentences
from training.brat import convert, read_document
from training.scoring import prf

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("bench_splitters.py")
WIDTH = 80


def documents(folder: Path) -> Iterator[tuple[str, list[tuple[int, int]], list[tuple[int, int]]]]:
    """Text with a sentence a line, its lines and its entities, as offsets."""
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        lines, at = [], 0
        for line in text.split("\n"):
            if line.strip():
                lines.append((at, at + len(line)))
            at += len(line) + 1
        entities = [(a.start, a.end) for a in convert(read_document(path.with_suffix(".ann")))]
        yield text, lines, entities


def wrapped(text: str) -> str:
    """The same characters, with line breaks where a printer at ``WIDTH`` columns puts them and no others."""
    prose = text.replace("\n", " ")
    out, at = list(prose), 0
    for line in textwrap.wrap(prose, WIDTH, drop_whitespace=False, replace_whitespace=False, break_long_words=False):
        at += len(line)
        if at < len(out) and out[at - 1] == " ":
            out[at - 1] = "\n"
    return "".join(out)


def scores(ends: Sequence[set[int]], sentences: Sequence[Sequence[tuple[int, int]]], entities: Any) -> dict[str, float]:
    """Precision, recall and F1 of sentence ends, and the share of entities that were cut."""
    right = found = gold = cut = total = 0
    for true, split, mentions in zip(ends, sentences, entities, strict=True):
        ours = {end for _, end in split}
        right, found, gold = right + len(true & ours), found + len(ours), gold + len(true)
        total += len(mentions)
        cut += sum(any(start < end < stop for _, end in split) for start, stop in mentions)
    return {**prf(right, found, gold), "cut": cut / max(1, total)}


def main(
    folder: Annotated[Path, typer.Argument(help="a folder of MACCROBAT")],
    json_out: Annotated[Path | None, typer.Option("--json", help="JSON file to write too")] = None,
) -> None:
    """Print how well each splitter finds the ends of sentences."""
    python = ROOT / ".venv-bench" / "bin" / "python"
    if not python.exists():
        raise typer.BadParameter("no .venv-bench: see scripts/bench_assertions.py for the two commands that make it")
    read = list(documents(folder))
    # The last end is found by everyone.
    ends = [{end for _, end in lines[:-1]} for _, lines, _ in read]
    entities = [mentions for _, _, mentions in read]
    console = Console()
    figures: dict[str, dict[str, Any]] = {}
    for form, change in (("prose", lambda text: text.replace("\n", " ")), ("wrapped", wrapped)):
        texts = [change(text) for text, _, _ in read]
        started = time.perf_counter()
        ours = [[(s.start, s.end) for s in split_sentences(text)] for text in texts]
        seconds = {"clincode": time.perf_counter() - started}
        command = [str(python), str(WORKER)]
        answer = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True).stdout
        splits: dict[str, Any] = {"clincode": ours, **json.loads(answer)["sentences"]}
        seconds |= json.loads(answer)["seconds"]
        table = Table("splitter", "precision", "recall", "F1", "entities cut", "ms a document", title=form)
        figures[form] = {}
        for name, split in splits.items():
            # The end of the text is no decision.
            inner = [[pair for pair in s if pair[1] < len(t.rstrip())] for s, t in zip(split, texts, strict=True)]
            row = scores(ends, inner, entities)
            figures[form][name] = {**row, "ms": 1000 * seconds[name] / len(texts)}
            cells = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
            table.add_row(name, *cells, f"{row['cut']:.4f}", f"{figures[form][name]['ms']:.1f}")
        console.print(table)
    if json_out:
        json_out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
