"""The network, and the engine that runs it over windows. The only module of the core that imports torch."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from clincode.config import ENCODER_CONFIG_FILE, SERVING_HEAD, TOKENIZER_FILE, WEIGHTS_FILE, ModelConfig
from clincode.errors import BundleError
from clincode.labels import LABELS
from clincode.types import FloatArray, Window

IGNORED_LABEL = -100
MENTION_TOKENS = 32
"""A longer mention is cut: it is no name."""
_MENTIONS_TOGETHER = 16


class BertForClinicalNER(nn.Module):
    """A BERT-family encoder, dropout, and a linear head that scores each token's label (Devlin et al. 2019, §4).

    Beside the head that serves there may be more, one for each corpus guideline; all share the encoder.

    Args:
        num_labels: labels of the serving head.
        dropout_rate: applied to the encoder's output.
        model_name: a folder or hub name that ``transformers.AutoModel`` loads; not read where ``encoder`` is given.
        encoder: a ready encoder with a ``config.hidden_size``.
        guideline_heads: name → number of labels of the further heads.
    """

    def __init__(
        self,
        num_labels: int = len(LABELS),
        dropout_rate: float = 0.1,
        model_name: str = "bert-base-uncased",
        *,
        encoder: Any = None,
        guideline_heads: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.encoder: Any = AutoModel.from_pretrained(model_name) if encoder is None else encoder
        # A token classifier has no use for the sentence vector; without it DDP sees no unused parameters.
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        self.dropout = nn.Dropout(dropout_rate)
        sizes = {SERVING_HEAD: num_labels, **(guideline_heads or {})}
        hidden = self.encoder.config.hidden_size
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, size) for name, size in sizes.items()})

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Contextual vectors after dropout, ``(batch, tokens, hidden)``."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        states: Tensor = self.dropout(output.last_hidden_state)
        return states

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        *,
        head: str = SERVING_HEAD,
    ) -> dict[str, Tensor]:
        """``{"logits": (batch, tokens, labels)}`` and, where ``labels`` (batch, tokens) are given, the mean
        cross-entropy ``"loss"`` over the tokens whose label is not -100."""
        logits = self.heads[head](self.hidden_states(input_ids, attention_mask))
        output = {"logits": logits}
        if labels is not None:
            output["loss"] = nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED_LABEL
            )
        return output

    @classmethod
    def load(cls, folder: Path, config: ModelConfig) -> "BertForClinicalNER":
        """The network of a model folder, with its weights, in FP32 and evaluation mode.

        Raises:
            BundleError: a file is missing, damaged or does not fit the configuration; names what is at fault.
        """
        try:
            encoder = AutoModel.from_config(AutoConfig.from_pretrained(folder / ENCODER_CONFIG_FILE))
            weights = load_file(folder / WEIGHTS_FILE)
        except (OSError, ValueError, SafetensorError) as error:
            raise BundleError(f"{folder}: the encoder cannot be loaded ({error})") from error
        model = cls(
            len(config.heads[SERVING_HEAD]),
            config.dropout,
            encoder=encoder,
            guideline_heads={n: len(labels) for n, labels in config.heads.items() if n != SERVING_HEAD},
        ).float()
        try:
            missing, unexpected = model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
        except RuntimeError as error:  # a tensor of another shape
            raise BundleError(f"{folder / WEIGHTS_FILE}: {str(error).splitlines()[-1].strip()}") from error
        missing = [name for name in missing if not name.endswith("position_ids")]
        if missing or unexpected:
            raise BundleError(
                f"{folder / WEIGHTS_FILE}: {len(missing)} tensors missing, {len(unexpected)} unexpected, "
                f"first: {(missing + list(unexpected))[0]}"
            )
        return model.eval()


class NerEngine:
    """Runs a network over windows: sorted by length, padded only to the longest of each mini-batch, put back in order.

    ``precision`` is ``fp32``, ``bf16``, ``fp16`` or ``auto``: FP16 on CUDA; on a CPU whichever of FP32 and BF16 a
    short measurement on this machine shows to be faster (BF16 pays only where the CPU has instructions for it).
    """

    def __init__(self, model: BertForClinicalNER, *, device: str | None = None, precision: str = "auto") -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model = model.to(self.device).eval()
        self._pad_id = int(getattr(model.encoder.config, "pad_token_id", None) or 0)
        # Mini-batches are bounded in tokens, padding included, so that memory does not depend on the notes.
        self._batch_tokens = 32 * 512 if self.device.type == "cuda" else 8 * 512
        self.precision = self._choose_precision() if precision == "auto" else precision
        self._model = self._model.to(_DTYPES[self.precision])

    def logits(self, windows: Sequence[Window], *, head: str = SERVING_HEAD) -> list[FloatArray]:
        """Logits of every window's body (special tokens left out), ``(body, labels)`` each, in the order given."""
        results: list[FloatArray | None] = [None] * len(windows)
        for batch in self._batches(windows):
            for index, rows in zip(batch, self._run([windows[i] for i in batch], head), strict=True):
                results[index] = rows
        return [rows for rows in results if rows is not None]

    def _batches(self, windows: Sequence[Window]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in sorted(range(len(windows)), key=lambda i: -len(windows[i].input_ids)):
            longest = len(windows[batch[0]].input_ids) if batch else 0
            if batch and (len(batch) + 1) * longest > self._batch_tokens:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _run(self, windows: Sequence[Window], head: str) -> list[FloatArray]:
        lengths = [len(window.input_ids) for window in windows]
        ids = torch.full((len(windows), max(lengths)), self._pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : lengths[row]] = torch.tensor(window.input_ids)
            mask[row, : lengths[row]] = 1
        output = self._model(ids.to(self.device), mask.to(self.device), head=head)["logits"].float().cpu()
        return [output[row, 1 : length - 1].numpy() for row, length in enumerate(lengths)]

    def _choose_precision(self) -> str:
        if self.device.type == "cuda":
            return "fp16"
        return "bf16" if self._probe("bf16") < 0.8 * self._probe("fp32") else "fp32"

    def _probe(self, precision: str) -> float:
        """Seconds of the fastest of three passes of up to 256 tokens through one random layer of this shape."""
        config = copy.deepcopy(self._model.encoder.config)
        config.num_hidden_layers = 1
        layer = AutoModel.from_config(config).to(_DTYPES[precision]).eval()
        # Two positions fewer than there are, for encoders that count positions from beyond the padding id.
        length = min(256, getattr(config, "max_position_embeddings", 256) - 2)
        ids = torch.full((1, length), self._pad_id)
        seconds = []
        with torch.inference_mode():
            for _ in range(4):  # the first warms up and never is the fastest
                start = time.perf_counter()
                layer(input_ids=ids, attention_mask=torch.ones_like(ids))
                seconds.append(time.perf_counter() - start)
        return min(seconds)


class MentionEncoder:
    """Unit vectors of short texts, by an encoder that was taught which names mean the same.

    ``dimensions`` is how much of the encoder's vector is used; the precision is chosen as ``NerEngine`` chooses it.
    """

    def __init__(
        self, encoder: Any, tokenizer: Tokenizer, dimensions: int, *, device: str | None = None, precision: str = "fp32"
    ) -> None:
        self.dimensions = dimensions
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._encoder = encoder.to(self._device, _DTYPES[precision]).eval()
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(MENTION_TOKENS)
        self._tokenizer.no_padding()

    @classmethod
    def load(
        cls, folder: Path, dimensions: int, *, device: str | None = None, precision: str = "fp32"
    ) -> "MentionEncoder":
        """The encoder of a folder. Raises ``BundleError`` naming the file that is missing or damaged."""
        try:
            encoder = AutoModel.from_config(
                AutoConfig.from_pretrained(folder / ENCODER_CONFIG_FILE), add_pooling_layer=False
            )
            weights = load_file(folder / WEIGHTS_FILE)
            # A sentence encoder's pooler is of no use here, and positions are counted, not learnt.
            used = {
                n: t.float()
                for n, t in weights.items()
                if not n.startswith("pooler.") and not n.endswith("position_ids")
            }
            encoder.load_state_dict(used, strict=True)
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # the tokenizer's Rust side raises Exception itself
            raise BundleError(f"{folder}: the linker's encoder cannot be loaded ({type(error).__name__})") from error
        return cls(encoder, tokenizer, dimensions, device=device, precision=precision)

    def words(self) -> list[str]:
        """Words that the tokenizer has whole: the common ones of the language."""
        return [word for word in self._tokenizer.get_vocab() if word.isalpha()]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], progress: Callable[[int], object] | None = None) -> FloatArray:
        """``(texts, dimensions)``; ``progress`` is told how many more are done."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(encoded), self.dimensions), dtype=np.float32)
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        for start in range(0, len(order), _MENTIONS_TOGETHER):
            batch = order[start : start + _MENTIONS_TOGETHER]
            ids = torch.zeros((len(batch), len(encoded[batch[-1]])), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, index in enumerate(batch):
                ids[row, : len(encoded[index])] = torch.tensor(encoded[index])
                mask[row, : len(encoded[index])] = 1
            ids, mask = ids.to(self._device), mask.to(self._device)
            states = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            short = mean_pooled(states, mask)[:, : self.dimensions]
            vectors[batch] = nn.functional.normalize(short, dim=-1).cpu().numpy()
            if progress is not None:
                progress(len(batch))
        return vectors


def mean_pooled(states: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors ``(batch, hidden)``: the mean of the states ``(batch, tokens, hidden)`` where the mask is 1."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return nn.functional.normalize((states * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
