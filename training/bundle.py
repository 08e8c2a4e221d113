"""Any model folder → a bundle: one folder with everything that serving needs.

    python -m training.bundle MODEL_DIR OUT_DIR

MODEL_DIR is a release (``manifest.json``), a checkpoint or a published artifact of ours (``clincode.json``; an
artifact's files are checked first) or a Hugging Face folder of a BERT-family token classifier (``config.json`` whose
``id2label`` names our labels). The bundle is FP16 weights, encoder configuration, tokenizer, ``clincode.json``, the
ICD-10-CM index, the linker and, last, ``checksums.json``, without which nothing is served.
"""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from clincode.config import (
    ENCODER_CONFIG_FILE,
    LINKER_FOLDER,
    MODEL_CONFIG_FILE,
    SERVING_HEAD,
    TERMINOLOGY_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    ModelConfig,
)
from clincode.errors import BundleError
from clincode.icd import build_terminology
from clincode.integrity import write_checksums
from clincode.labels import TAG_TO_TYPE, split_label
from training.linker_release import build_linker, newest_linker
from training.registry.manifest import ARTIFACT_FILE, verify
from training.release import MANIFEST_FILE, merge_release

_COUNT_FROM_PADDING = {"mpnet", "roberta", "xlm-roberta", "camembert"}
"""Families whose positions start after the padding id, so that the first few embeddings stand for no position."""

_CHECKPOINT_FILES = (MODEL_CONFIG_FILE, ENCODER_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)


def build_bundle(model: Path, out: Path) -> Path:
    """Write the bundle of ``model`` to ``out``, replacing what is there only when it is complete.

    Raises:
        BundleError: ``model`` is no model folder, or one of its files does not fit.
    """
    staging = out.with_name(f"{out.name}.{os.getpid()}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with tqdm(total=3, desc="weights", unit="part") as progress:
            write_checkpoint(model, staging)
            progress.update()
            progress.set_description("ICD-10-CM index")
            terminology = build_terminology()
            terminology.save(staging / TERMINOLOGY_FILE)
            progress.update()
            progress.set_description("linker")
            linker = newest_linker()
            if linker is not None:
                build_linker(linker, terminology, staging / LINKER_FOLDER)
            progress.update()
        write_checksums(staging)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return out


def write_checkpoint(model: Path, out: Path) -> None:
    """The checkpoint files of any model folder, in FP16, to the folder ``out``."""
    if (model / ARTIFACT_FILE).exists():
        verify(model)
    if (model / MANIFEST_FILE).exists():
        merge_release(model, out)
    elif (model / MODEL_CONFIG_FILE).exists():
        missing = [name for name in _CHECKPOINT_FILES if not (model / name).is_file()]
        if missing:
            raise BundleError(f"{model}: lacks {', '.join(missing)}")
        for name in _CHECKPOINT_FILES:
            shutil.copyfile(model / name, out / name)
    elif (model / ENCODER_CONFIG_FILE).exists():
        _convert_hugging_face(model, out)
    else:
        raise BundleError(
            f"{model}: no model folder (it has none of {MANIFEST_FILE}, {MODEL_CONFIG_FILE}, {ENCODER_CONFIG_FILE})"
        )


def _convert_hugging_face(model: Path, out: Path) -> None:
    """A fine-tuned token classifier of transformers → our checkpoint. transformers itself reads its format."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from clincode.model import BertForClinicalNER
    from training.checkpoint import save_checkpoint

    try:
        classifier, report = AutoModelForTokenClassification.from_pretrained(model, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise BundleError(f"{model}: transformers cannot load it as a token classifier ({error})") from error
    if report["missing_keys"]:
        raise BundleError(
            f"{model}: not a fine-tuned token classifier, it lacks {', '.join(sorted(report['missing_keys']))}"
        )
    labels = tuple(classifier.config.id2label[i] for i in range(classifier.config.num_labels))
    unknown = [label for label in labels if label != "O" and split_label(label)[1] not in TAG_TO_TYPE]
    if unknown:
        raise BundleError(
            f"{model}: id2label has {', '.join(unknown)}; known are O and B-/I- of {', '.join(TAG_TO_TYPE)}"
        )
    network = BertForClinicalNER(len(labels), encoder=classifier.base_model)
    network.heads[SERVING_HEAD].load_state_dict(classifier.classifier.state_dict())
    offset = classifier.config.pad_token_id + 1 if classifier.config.model_type in _COUNT_FROM_PADDING else 0
    max_tokens = min(512, int(getattr(classifier.config, "max_position_embeddings", 512)) - offset)
    config = ModelConfig(
        version=f"bert-clinical-ner-{model.resolve().name}",
        heads={SERVING_HEAD: labels},
        max_tokens=max_tokens,
        overlap=max_tokens // 4,
    )
    save_checkpoint(network, config, tokenizer, out / "checkpoint")
    for file in (out / "checkpoint").iterdir():
        file.rename(out / file.name)
    (out / "checkpoint").rmdir()


def main(
    model: Annotated[Path, typer.Argument(help="a release, a checkpoint or a Hugging Face folder")],
    out: Annotated[Path, typer.Argument(help="the bundle's folder; replaced")],
) -> None:
    """Build the folder that serving reads."""
    try:
        build_bundle(model, out)
    except BundleError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{out}: {sum(f.stat().st_size for f in out.rglob('*') if f.is_file()) / 1e6:.0f} MB", err=True)


if __name__ == "__main__":
    typer.run(main)
