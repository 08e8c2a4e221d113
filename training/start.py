"""The weights of an earlier model as the beginning of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from clincode.config import ModelConfig
from clincode.errors import BundleError
from clincode.model import BertForClinicalNER
from training.bundle import write_checkpoint


def start_from(model: Path, network: BertForClinicalNER, heads: Mapping[str, Sequence[str]]) -> None:
    """Give ``network`` the encoder of a model folder, and those of its heads that have the same name and labels.

    Raises:
        BundleError: the folder is no model folder, or its encoder has another shape.
    """
    with TemporaryDirectory() as folder:
        write_checkpoint(model, Path(folder))
        config = ModelConfig.load(Path(folder))
        earlier = BertForClinicalNER.load(Path(folder), config)
    try:
        network.encoder.load_state_dict(earlier.encoder.state_dict())
    except RuntimeError:
        raise BundleError(f"{model}: its encoder is not the one that this run trains") from None
    for name, labels in heads.items():
        if config.heads.get(name) == tuple(labels):
            network.heads[name].load_state_dict(earlier.heads[name].state_dict())
