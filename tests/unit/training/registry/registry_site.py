"""What the tests of the registry share beside fixtures."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from training.registry.store import Store

NAME = "bert-clinical-ner-v"


@dataclass(frozen=True)
class Server:
    """``rclone serve s3``: a real server of the protocol, which checks signatures."""

    url: str


@dataclass(frozen=True)
class Place:
    """A store, and the ways of somebody who may write to it."""

    store: Store

    def names(self) -> list[str]:
        return [key.name for key in self.store.keys()]  # noqa: SIM118

    def flip(self, key: str) -> None:
        """Change one bit of what is stored."""
        data = bytearray(self.store.read(key))
        data[len(data) // 2] ^= 1
        self.replace(key, bytes(data))

    def replace(self, key: str, data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(data)
            self.store.upload(Path(file.name), key)
