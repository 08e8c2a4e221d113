"""Which model version answers a note: a production target, a share to a canary, an A/B experiment; from one file.

The file is read again when it changes. One that does not fit is refused as a whole and the routing before it stays, so
a slip of the pen takes nothing down. A note's ``note_id`` alone decides, so a note always comes to the same version.
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import structlog
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

_CHECK_SECONDS = 0.5
log = structlog.get_logger(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Model):
    """A model behind a TorchServe: its prediction URL and the key file of that server."""

    url: Annotated[HttpUrl, AfterValidator(str)]
    key_file: Path


class Canary(_Model):
    target: str
    share: float = Field(ge=0, le=1)


class Experiment(_Model):
    """``share`` of the notes go to ``target``, the others to production. Another name shuffles the notes anew."""

    name: str = Field(min_length=1, max_length=64)
    target: str
    share: float = Field(0.5, ge=0, le=1)


class Routing(_Model):
    """What the routing file says."""

    production: str
    targets: Mapping[str, Target] = Field(min_length=1)
    canary: Canary | None = None
    experiment: Experiment | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> "Routing":
        named = {"production": self.production}
        named |= {"canary.target": self.canary.target} if self.canary else {}
        named |= {"experiment.target": self.experiment.target} if self.experiment else {}
        for field, name in named.items():
            if name not in self.targets:
                raise ValueError(f"{field}: '{name}' is not among the targets")
        return self

    def target_for(self, note_id: str) -> str:
        """The name of the target that answers this note: the canary's share first, of the rest the experiment's."""
        if self.canary and fraction("canary", note_id) < self.canary.share:
            return self.canary.target
        if self.experiment and fraction(self.experiment.name, note_id) < self.experiment.share:
            return self.experiment.target
        return self.production


def fraction(salt: str, note_id: str) -> float:
    """A number in [0, 1) that is the note's own, evenly spread and independent between salts."""
    digest = hashlib.sha256(f"{salt}:{note_id.lower()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def read_routing(path: Path) -> Routing:
    """The routing of a file; a relative key file is looked for beside it.

    Raises:
        ValueError: the file cannot be read or does not fit; the message says where.
    """
    try:
        routing = Routing.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError(f"{path}: {faults}") from None
    targets = {
        name: target.model_copy(update={"key_file": path.parent / target.key_file})
        for name, target in routing.targets.items()
    }
    return routing.model_copy(update={"targets": targets})


class RoutingFile:
    """The routing of the moment; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._routing = read_routing(path)
        self._next_check = 0.0
        self._lock = threading.Lock()
        self.fault: str | None = None
        """Why the file's newest content is not in force; null where it is."""

    def current(self) -> Routing:
        now = time.monotonic()
        if now < self._next_check:
            return self._routing
        with self._lock:
            self._next_check = now + _CHECK_SECONDS
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._routing

    def _reload(self) -> None:
        try:
            self._routing, self.fault = read_routing(self._path), None
            log.info("routing_reloaded", production=self._routing.production)
        except ValueError as error:
            self.fault = str(error)
            log.error("routing_refused", fault=self.fault)

    def _stamp_now(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)


class FixedRouting:
    """Everything to one target, where there is no routing file."""

    fault: None = None

    def __init__(self, url: str, key_file: Path) -> None:
        target = Target.model_validate({"url": url, "key_file": key_file})
        self._routing = Routing(production="production", targets={"production": target})

    def current(self) -> Routing:
        return self._routing
