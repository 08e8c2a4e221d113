"""Corpora in the format of T-NER on the Hugging Face hub, such as ``tner/bc5cdr``.

A data set is ``dataset/label.json`` (label → id) and ``dataset/{train,valid,test}.json``, in each line ``tokens`` and
the ids of their ``tags``. They are fetched as files, for ``datasets`` no longer runs loading scripts of their kind.
"""

import json
from pathlib import Path
from typing import Any

from training.corpora import CorpusError, Guideline, TaggedSentence

SPLITS = {"train": "train", "devel": "valid", "validation": "valid", "valid": "valid", "test": "test"}


def read_hub(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    """Sentences of ``…/tner/bc5cdr/train``: owner, name and split are the last three parts of the path.

    A local copy of the data set at ``…/tner/bc5cdr`` is read where there is one, else the hub is asked.

    Raises:
        CorpusError: no such split, the hub cannot be reached, or a line is broken.
    """
    split = SPLITS.get(path.name)
    if split is None:
        raise CorpusError(f"{path}: '{path.name}' is no split; a path ends in owner/name/split, such as train")
    labels = {index: label for label, index in json.loads(_file(path.parent, "label.json").read_text("utf-8")).items()}
    file = _file(path.parent, f"{split}.json")
    sentences = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                sentences.append(_sentence(json.loads(line), labels, guideline))
            except (ValueError, KeyError, TypeError):
                raise CorpusError(f"{file}:{number}: expected tokens and tags of '{guideline.name}'") from None
    return sentences


def _sentence(record: dict[str, Any], labels: dict[int, str], guideline: Guideline) -> TaggedSentence:
    tags = [guideline.translate(labels[tag]) for tag in record["tags"]]
    if None in tags or len(tags) != len(record["tokens"]) or not tags:
        raise ValueError
    return TaggedSentence(tuple(record["tokens"]), tuple(tag for tag in tags if tag is not None))


def _file(folder: Path, name: str) -> Path:
    local = folder / "dataset" / name
    if local.exists():
        return local
    from huggingface_hub import hf_hub_download

    repository = "/".join(folder.parts[-2:])
    try:
        return Path(hf_hub_download(repository, f"dataset/{name}", repo_type="dataset"))
    except Exception as error:  # whatever the library raises without a network, or for a name that is not there
        raise CorpusError(f"{repository}: no {name} at {local}, nor from the hub ({type(error).__name__})") from None
