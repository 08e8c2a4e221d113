import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from clincode.config import ModelConfig
from clincode.errors import BundleError
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER, NerEngine
from clincode.windows import Windower
from training.checkpoint import save_checkpoint


@pytest.fixture
def checkpoint(
    tmp_path: Path, tiny_network: BertForClinicalNER, tiny_config: ModelConfig, tokenizer: Tokenizer
) -> Path:
    class Wrapped:
        backend_tokenizer = tokenizer

    save_checkpoint(tiny_network, tiny_config, Wrapped(), tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_forward_gives_logits_and_with_labels_the_loss(tiny_network: BertForClinicalNER) -> None:
    ids = torch.tensor([[101, 4654, 6598, 102, 0, 0]])
    mask = (ids > 0).long()
    output = tiny_network(ids, mask)
    assert set(output) == {"logits"}
    assert output["logits"].shape == (1, 6, len(LABELS))
    labels = torch.tensor([[-100, 1, 2, -100, -100, -100]])
    with_loss = tiny_network(ids, mask, labels)
    expected = torch.nn.functional.cross_entropy(output["logits"][0, 1:3], torch.tensor([1, 2]))
    assert with_loss["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_saved_checkpoint_loads_as_it_was(checkpoint: Path, tiny_network: BertForClinicalNER) -> None:
    config = ModelConfig.load(checkpoint)
    loaded = BertForClinicalNER.load(checkpoint, config)
    for name, tensor in tiny_network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.half().float())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 100), "cannot be loaded"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda f: (f / "config.json").unlink(), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer"),
        (lambda f: (f / "clincode.json").write_text("{"), "clincode.json"),
        (lambda f: (f / "clincode.json").write_text('{"version": "v", "colour": 1}'), "no keys but"),
        (lambda f: _edit(f, overlap=40), "overlap is 40"),
        (lambda f: _edit(f, heads={"clincode": ["O", "B-DIAG"]}), "heads.clincode"),
        (lambda f: _edit(f, heads={"clincode": [*LABELS[:-1], "I-GENE"]}), "I-GENE"),
        (lambda f: _edit(f, heads={"other": list(LABELS)}), "no 'clincode'"),
    ],
)
def test_damaged_checkpoints_are_refused_by_name(checkpoint: Path, damage: object, message: str) -> None:
    damage(checkpoint)  # type: ignore[operator]
    with pytest.raises(BundleError, match=message):
        _load_all(checkpoint)


def _load_all(folder: Path) -> None:
    config = ModelConfig.load(folder)
    Windower.load(folder, config)
    BertForClinicalNER.load(folder, config)


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "clincode.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


texts = st.lists(
    st.lists(
        st.sampled_from(["fever", "metoprolol", "denies", ",", "hydrochlorothiazide"]), min_size=1, max_size=60
    ).map(" ".join),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(texts)
def test_a_batch_gives_each_window_what_it_gets_alone(
    tokenizer: Tokenizer, tiny_network: BertForClinicalNER, notes: list[str]
) -> None:
    windower = Windower(tokenizer, max_tokens=32, overlap=8)
    windows = [window for note in notes for window in windower.encode(note).windows]
    engine = NerEngine(tiny_network, device="cpu", precision="fp32")
    together = engine.logits(windows)
    assert [len(rows) for rows in together] == [len(window.body) for window in windows]
    for window, rows in zip(windows, together, strict=True):
        np.testing.assert_allclose(rows, engine.logits([window])[0], atol=2e-4)


def test_auto_precision_measures_one_that_runs(tiny_network: BertForClinicalNER) -> None:
    assert NerEngine(tiny_network, device="cpu").precision in {"fp32", "bf16"}
    tiny_network.float()
