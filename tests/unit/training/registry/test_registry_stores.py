"""Stores: kinds of them, who comes first, and what is said when one cannot be reached."""

import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from registry_site import Place, Server

from training.registry.artifact import versions
from training.registry.store import AlreadyThereError, RegistryError, open_store


@pytest.mark.parametrize("url", ["ftp://host/x", "https://host/bucket", "gs://bucket", "file://host/folder", "s3://"])
def test_other_kinds_of_stores_are_refused(url: str) -> None:
    with pytest.raises(RegistryError):
        open_store(url)


def test_the_store_of_the_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_ARTIFACT_STORE", f"file://{tmp_path}/a%20b")
    assert open_store().url == str(tmp_path / "a b")
    assert open_store().keys() == []


def test_keys_come_with_sizes_and_in_order(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"12345")
    for key in ("b/2", "a/1", "a/10"):
        place.store.upload(tmp_path / "source", key)
    found = place.store.keys()
    assert [(key.name, key.size) for key in found] == [("a/1", 5), ("a/10", 5), ("b/2", 5)]
    assert [key.name for key in place.store.keys("a/")] == ["a/1", "a/10"]
    place.store.delete(["a/1", "a/10", "a/none"])
    assert place.names() == ["b/2"]


def test_a_key_is_created_once(place: Place) -> None:
    place.store.create("v/artifact.json", b"first")
    with pytest.raises(AlreadyThereError, match="is there already"):
        place.store.create("v/artifact.json", b"second")
    assert place.store.read("v/artifact.json") == b"first"


def test_of_many_who_create_a_file_at_once_one_does(tmp_path: Path) -> None:
    store, barrier, winners = open_store(str(tmp_path)), threading.Barrier(8), []

    def create(number: int) -> None:
        barrier.wait()
        try:
            store.create("v/artifact.json", str(number).encode())
        except AlreadyThereError:
            return
        winners.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert store.read("v/artifact.json") == str(winners[0]).encode()
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["artifact.json"]


def test_a_bucket_that_knows_conditions_decides_who_was_first(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    def refused(**request: Any) -> None:
        sent.append(request)
        raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "At least one …"}}, "PutObject")

    monkeypatch.setattr(bucket.store._client, "put_object", refused)  # type: ignore[attr-defined]
    with pytest.raises(AlreadyThereError):
        bucket.store.create("v/artifact.json", b"{}")
    assert sent[0]["IfNoneMatch"] == "*"


@pytest.mark.parametrize(
    ("changes", "url", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://models-0", "SignatureDoesNotMatch"),
        ({}, "s3://no-such-bucket/x", "NoSuchBucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://models-0", "Could not connect"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "s3://models-0", "nonsense"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_said_in_one_line(
    s3_environment: Server, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], url: str, message: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RegistryError, match=message) as refusal:
        versions(open_store(url))
    assert "\n" not in str(refusal.value)
    assert "tester-secret" not in str(refusal.value)


def test_a_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RegistryError):
        open_store(str(tmp_path / "file")).create("v/artifact.json", b"{}")
