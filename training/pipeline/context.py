"""What all steps of a run share: its configuration, its folder, and what the first start settled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clincode.config import MODEL_CONFIG_FILE, ModelConfig
from clincode.errors import BundleError
from training.pipeline.settings import PipelineConfig
from training.pipeline.state import RunError, RunState
from training.registry.artifact import fetch, versions
from training.registry.store import Store, open_store
from training.registry.versions import Version, next_version, parsed
from training.release import MANIFEST_FILE, read_manifest

ROOT = Path(__file__).resolve().parents[2]
MODEL_STORE = ROOT / "model_store"
StartCanary = Callable[[str, float], str]
"""Told the target's name and its share; says what it did."""


@dataclass(frozen=True, slots=True)
class Run:
    """``folder`` holds everything that the run writes but what it publishes and the gateway's routing file.

    ``start_canary`` starts it in a deployment, with its record and evidence; without, the routing file alone changes.
    """

    config: PipelineConfig
    folder: Path
    state: RunState
    start_canary: StartCanary | None = None

    @property
    def store(self) -> Store:
        return open_store(self.config.packaging.store or str(self.folder / "registry"))

    @property
    def previous(self) -> Path:
        return Path(self.state.facts["previous"])

    @property
    def version(self) -> str:
        return self.state.facts["version"]

    @property
    def data(self) -> Path:
        """Validated notes, a file a role."""
        return self.folder / "data"

    @property
    def candidate(self) -> Path:
        """The new model in the form that is released."""
        return self.folder / "candidate"

    @property
    def bundle(self) -> Path:
        """The same, ready to serve."""
        return self.folder / "bundle"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation" / "evaluation.json"

    @property
    def gates(self) -> Path:
        return self.folder / "evaluation" / "gates.json"

    @property
    def bias(self) -> Path:
        return self.folder / "bias" / "bias.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def package(self) -> Path:
        return self.folder / "package" / "package.json"

    @property
    def staged(self) -> Path:
        return self.folder / "staging" / "staging.json"

    def settle(self) -> None:
        """Decide once for the whole run what it goes on from and what the new version is called: a registry that gets
        the new version must not change either when the run is started again.

        Raises:
            RunError: the configuration now names another previous model, or another variant.
        """
        facts = self.state.facts
        if "version" in facts:
            variant = Version.parse(facts["version"]).variant
            other = self.config.previous is not None and str(self.config.previous) != facts["previous"]
            if other or variant != self.config.packaging.variant:
                made = f"this run makes {facts['version']} from {facts['previous']}"
                raise RunError(f"{self.folder}: {made}; the configuration says otherwise now: give another --out")
            return
        published = versions(self.store)
        previous = self.config.previous or _newest(self.store, published, self.folder)
        known = [*published, *parsed([version_of(previous)])]
        facts["previous"] = str(previous)
        facts["previous_version"] = version_of(previous)
        facts["version"] = str(next_version(known, "minor", self.config.packaging.variant))
        self.state.save(self.folder)


def version_of(model: Path) -> str:
    """The version that a model folder names."""
    if (model / MANIFEST_FILE).exists():
        return str(read_manifest(model)["version"])
    if (model / MODEL_CONFIG_FILE).exists():
        return ModelConfig.load(model).version
    raise BundleError(f"{model}: neither a release nor a checkpoint of this project")


def _newest(store: Store, published: list[Version], folder: Path) -> Path:
    """The registry's newest version, else the newest release of the checkout; variants are asked for by name."""
    plain = [version for version in published if not version.variant]
    if plain:
        return fetch(plain[-1], store, folder / "previous")
    releases = [version for version in parsed(path.name for path in MODEL_STORE.iterdir()) if not version.variant]
    if not releases:
        raise BundleError(f"{MODEL_STORE}: no release to go on from; name one with 'previous'")
    return MODEL_STORE / str(releases[-1])
