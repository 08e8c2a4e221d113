"""What a linker release and the tabular list make together: vectors and words of all names, and the ranker's weights.

Built where a bundle is built, read where notes are coded. Vectors are unit vectors in 8 bits, ``round(127 x)``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from clincode.errors import BundleError
from clincode.icd.normalise import words
from clincode.icd.ranker import Ranker
from clincode.icd.terminology import Terminology
from clincode.types import FloatArray

ARRAYS_FILE = "icd_linker.safetensors"
SETTINGS_FILE = "icd_linker.json"
FORMAT = 1

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the list: the code of each, its words, its vector.

    ``codes`` [names]; ``word_ids`` holds the words of all names one after the other and ``starts`` [names + 1] where
    each begins; ``vectors`` [names, dimensions].
    """

    codes: Sequence[str]
    word_ids: Int32Array
    starts: Int32Array
    vocabulary: Mapping[str, int]
    weights: FloatArray
    vectors: Int8Array


@dataclass(frozen=True, slots=True)
class Examples:
    """Names that are not of the list, each with the codes that were given to it: vectors, not words.

    ``vectors`` [examples, dimensions]; ``learnt`` [examples] is true of mentions of an annotated corpus and false of
    names of a dictionary.
    """

    codes: Sequence[tuple[str, ...]]
    vectors: Int8Array
    learnt: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LinkingModel:
    """``concepts`` ranks the codes that a mention names, as cross-references between terminologies have them;
    ``claims`` those that a coder would go on from. ``threshold`` is the confidence below which a mention gets no code
    on the note's list.
    """

    version: str
    names: Names
    examples: Examples
    concepts: Ranker
    claims: Ranker
    threshold: float

    def save(self, folder: Path) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {
            "names.word_ids": self.names.word_ids,
            "names.starts": self.names.starts,
            "names.weights": self.names.weights,
            "names.vectors": self.names.vectors,
            "examples.vectors": self.examples.vectors,
            "examples.learnt": self.examples.learnt.astype(np.uint8),
        }
        settings = {
            "format": FORMAT,
            "version": self.version,
            "threshold": self.threshold,
            "concepts": self.concepts.to_json(),
            "claims": self.claims.to_json(),
            "name_codes": list(self.names.codes),
            "vocabulary": sorted(self.names.vocabulary, key=self.names.vocabulary.__getitem__),
            "example_codes": [list(codes) for codes in self.examples.codes],
        }
        save_file(arrays, folder / ARRAYS_FILE)
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, separators=(",", ":")) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, terminology: Terminology) -> "LinkingModel":
        """Raises ``BundleError`` naming the file that is missing, damaged or made for another release of the list."""
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            arrays = load_file(folder / ARRAYS_FILE)
            model = _from_parts(settings, arrays)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder / SETTINGS_FILE}: not a readable linker ({type(error).__name__})") from error
        given = (*model.names.codes, *(code for codes in model.examples.codes for code in codes))
        strange = next((code for code in given if code not in terminology), None)
        if strange is not None:
            raise BundleError(f"{folder / SETTINGS_FILE}: {strange} is not of ICD-10-CM {terminology.release}")
        return model


def _from_parts(settings: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> LinkingModel:
    if settings["format"] != FORMAT:
        raise ValueError("another format")
    names = Names(
        settings["name_codes"],
        arrays["names.word_ids"],
        arrays["names.starts"],
        {word: index for index, word in enumerate(settings["vocabulary"])},
        arrays["names.weights"],
        arrays["names.vectors"],
    )
    codes = [tuple(codes) for codes in settings["example_codes"]]
    examples = Examples(codes, arrays["examples.vectors"], arrays["examples.learnt"].astype(bool))
    if not _fit(names, examples):
        raise ValueError("arrays of different sizes")
    concepts, claims = (Ranker.from_json(settings[name]) for name in ("concepts", "claims"))
    return LinkingModel(settings["version"], names, examples, concepts, claims, float(settings["threshold"]))


def _fit(names: Names, examples: Examples) -> bool:
    """Whether the arrays belong together: one code and one vector each, and words that there are."""
    return (
        len(names.codes) == len(names.vectors) == len(names.starts) - 1
        and names.starts[-1] == len(names.word_ids)
        and (not len(names.word_ids) or 0 <= names.word_ids.min() <= names.word_ids.max() < len(names.weights))
        and len(names.weights) == len(names.vocabulary)
        and len(examples.codes) == len(examples.vectors) == len(examples.learnt)
        and names.vectors.shape[1] == examples.vectors.shape[1]
    )


def quantised(vectors: FloatArray) -> Int8Array:
    """Unit vectors → 8 bits."""
    return np.rint(127 * vectors).astype(np.int8)


def word_table(texts: Sequence[str]) -> tuple[Int32Array, Int32Array, dict[str, int], FloatArray]:
    """Words of each name as ``(word_ids, starts, vocabulary, weights)``; a word's weight is its inverse frequency."""
    vocabulary: dict[str, int] = {}
    ids: list[int] = []
    starts = [0]
    for text in texts:
        ids += [vocabulary.setdefault(word, len(vocabulary)) for word in dict.fromkeys(words(text))]
        starts.append(len(ids))
    word_ids = np.array(ids, dtype=np.int32)
    counts = np.bincount(word_ids, minlength=len(vocabulary))
    weights = np.log(1 + len(texts) / np.maximum(counts, 1)).astype(np.float32)
    return word_ids, np.array(starts, dtype=np.int32), vocabulary, weights
