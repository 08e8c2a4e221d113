"""Where artifacts stand: keys and their bytes, in a folder or in a bucket.

A folder that is copied into a bucket, or the other way round, is the same store.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

STORE_VARIABLE = "CLINCODE_ARTIFACT_STORE"
DEFAULT_STORE = Path(__file__).resolve().parents[2] / "artifacts"
_PARTIAL = ".partial-"


class RegistryError(RuntimeError):
    """What was asked for is refused, is not there, or the store cannot be reached; one line."""


class AlreadyThereError(RegistryError):
    """The key that was to be created has been by somebody else."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """``modified`` is in seconds since 1970, by the store's clock."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """What the registry asks of a store. Every method raises ``RegistryError`` and nothing else of its library."""

    @property
    def url(self) -> str: ...

    def keys(self, prefix: str = "") -> list[StoredKey]:
        """Every key that begins so, in order. What a writer that was killed left in a folder is among them, under a
        name of its own."""
        ...

    def read(self, key: str) -> bytes: ...

    def download(self, key: str, path: Path) -> None: ...

    def upload(self, path: Path, key: str) -> None:
        """All of the file or nothing; what stood at the key is replaced."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """As ``upload``, but raises ``AlreadyThereError`` where the key is there. Of two who create it at the same
        time one alone succeeds, as far as the store can tell (a bucket must know If-None-Match)."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """In this order; a key that is not there is passed over."""
        ...


def open_store(url: str | None = None) -> Store:
    """The store of ``s3://bucket/prefix``, ``file:///folder`` or a folder's path.

    Where none is given, the one that ``CLINCODE_ARTIFACT_STORE`` names, else ``artifacts/`` of the checkout.

    Raises:
        RegistryError: no such kind of store, or the package that it needs is not installed.
    """
    url = url or os.environ.get(STORE_VARIABLE) or str(DEFAULT_STORE)
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from training.registry.s3_store import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"))
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return FolderStore(Path(unquote(parts.path)))
    if "://" in url:
        raise RegistryError(f"{url}: a store is a folder, file:///folder or s3://bucket/prefix")
    return FolderStore(Path(url))


class FolderStore:
    """A folder, on a local or a shared file system that knows hard links. It need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def url(self) -> str:
        return str(self._folder)

    def keys(self, prefix: str = "") -> list[StoredKey]:
        found = []
        for path in self._folder.rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            if name.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    status = path.stat()
                    if path.is_file():
                        found.append(StoredKey(name, status.st_size, status.st_mtime))
        return sorted(found, key=lambda key: key.name)

    def read(self, key: str) -> bytes:
        with self._said(key):
            return (self._folder / key).read_bytes()

    def download(self, key: str, path: Path) -> None:
        with self._said(key):
            shutil.copyfile(self._folder / key, path)

    def upload(self, path: Path, key: str) -> None:
        with self._said(key), self._partial(key) as partial:
            shutil.copyfile(path, partial)
            _flush(partial)
            os.replace(partial, self._folder / key)

    def create(self, key: str, data: bytes) -> None:
        with self._said(key), self._partial(key) as partial:
            partial.write_bytes(data)
            _flush(partial)
            os.link(partial, self._folder / key)  # unlike a rename, it fails where the name is taken
            _flush((self._folder / key).parent)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self._said(key):
                path = self._folder / key
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # until a folder is not empty
                    for parent in path.relative_to(self._folder).parents[:-1]:
                        (self._folder / parent).rmdir()

    @contextlib.contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        """A file beside the key; ``prune`` finds it where its writer was killed."""
        folder = (self._folder / key).parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=folder)
        os.close(handle)
        os.chmod(name, 0o644)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _said(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise AlreadyThereError(f"{self._folder / key}: is there already") from None
        except FileNotFoundError:
            raise RegistryError(f"{self._folder / key}: no such file") from None
        except OSError as error:
            raise RegistryError(f"{self._folder / key}: {error.strerror or error}") from error


def _flush(path: Path) -> None:
    """To the disk: a manifest must not survive a power cut that its files do not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
