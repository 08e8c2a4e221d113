"""A tiny checkpoint to publish, and stores to publish it to: a folder, and a bucket of a real S3 server."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from registry_site import NAME, Place, Server
from transformers import AutoTokenizer

from clincode.config import ModelConfig
from clincode.model import BertForClinicalNER
from training.checkpoint import save_checkpoint
from training.registry.artifact import publish
from training.registry.manifest import Manifest
from training.registry.store import Store, open_store


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("buckets")
    command = [
        str(Path(sys.executable).parent / "rclone"), "serve", "s3", str(root), "--addr", "127.0.0.1:0",
        "--auth-key", "tester,tester-secret", "--config", os.devnull,
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if match := re.search(r"Starting s3 server on \[(http://[\d.:]+)/\]", line):
                yield Server(match[1])
                break
        else:
            pytest.fail(f"rclone did not start: {''.join(lines)}")
        process.terminate()


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch, s3_server: Server) -> Server:
    settings = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return s3_server


_buckets = itertools.count()


@pytest.fixture
def bucket(s3_environment: Server) -> Place:
    """Below a prefix of an empty bucket."""
    name = f"models-{next(_buckets)}"
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return Place(open_store(f"s3://{name}/ner/artifacts"))


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(open_store(str(tmp_path / "artifacts")))
    found: Place = request.getfixturevalue("bucket")
    return found


@pytest.fixture(scope="session")
def checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_config: ModelConfig,
    tiny_network: BertForClinicalNER,
    tokenizer_file: Path,
) -> Path:
    folder = tmp_path_factory.mktemp("run") / "best"
    save_checkpoint(tiny_network, tiny_config, AutoTokenizer.from_pretrained(tokenizer_file.parent), folder)
    return folder


@pytest.fixture
def published(checkpoint: Path) -> Callable[..., Manifest]:
    """Publishes the tiny checkpoint as a version, given by its numbers."""

    def make(store: Store, numbers: str) -> Manifest:
        return publish(
            checkpoint,
            store,
            version=f"{NAME}{numbers}",
            training_config={"seed": 13},
            data_hashes={"train.tsv": "ab" * 32},
        )

    return make
