"""Fixtures that tests of all kinds share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the corpora: ``CLINCODE_DATA``, else ``../shared/data``. Skips the test where it is absent."""
    folder = Path(os.environ.get("CLINCODE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}; CLINCODE_DATA names their folder")
    return folder
