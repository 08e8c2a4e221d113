"""A bucket of Amazon's S3 or of a server that speaks its protocol, by boto3.

Endpoint, region, credentials and certificates come from boto3's own sources (``AWS_ENDPOINT_URL``, ``AWS_PROFILE``,
``AWS_ACCESS_KEY_ID``, ``AWS_CA_BUNDLE``, …). The bucket must be there.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.registry.store import AlreadyThereError, RegistryError, StoredKey

_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_MISSING = {"NoSuchKey", "404"}


class S3Store:
    """Keys below a prefix of a bucket. An upload shows only when it is whole, which S3 promises."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        if not bucket:
            raise RegistryError("s3://: names no bucket")
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ModuleNotFoundError:
            raise RegistryError("s3:// needs boto3: pip install 'clincode[s3]'") from None
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        settings = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=10, read_timeout=60)
        try:
            self._client: Any = boto3.session.Session().client("s3", config=settings)
        except (BotoCoreError, ValueError) as error:
            raise RegistryError(f"{self.url}: {_line(error)}") from error

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def keys(self, prefix: str = "") -> list[StoredKey]:
        with self._said(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            return [
                StoredKey(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
            ]

    def read(self, key: str) -> bytes:
        with self._said(key):
            data: bytes = self._client.get_object(**self._at(key))["Body"].read()
            return data

    def download(self, key: str, path: Path) -> None:
        with self._said(key):
            self._client.download_file(self._bucket, self._prefix + key, str(path))

    def upload(self, path: Path, key: str) -> None:
        with self._said(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def create(self, key: str, data: bytes) -> None:
        # A server that does not know If-None-Match passes over it: then this look is all that there is.
        if any(stored.name == key for stored in self.keys(key)):
            raise AlreadyThereError(f"{self.url}/{key}: is there already")
        with self._said(key):
            self._client.put_object(**self._at(key), Body=data, IfNoneMatch="*", ContentType="application/json")

    def delete(self, keys: Iterable[str]) -> None:
        # One by one, for the order counts: an artifact without its manifest is none, one without its files is broken.
        for key in keys:
            with self._said(key):
                self._client.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @contextlib.contextmanager
    def _said(self, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"{self.url}/{key}" if key else self.url
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _TAKEN:
                raise AlreadyThereError(f"{place}: is there already") from None
            if code in _MISSING:
                raise RegistryError(f"{place}: no such object") from None
            raise RegistryError(f"{place}: {_line(error)}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise RegistryError(f"{place}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
