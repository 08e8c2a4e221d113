"""The lock files pin everything that setup.cfg asks for: they are installed without looking for dependencies."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# torch comes from requirements/torch.txt, for its build differs by machine.
ELSEWHERE = {"torch"}


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def wanted(root: Path, *extras: str) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    sections = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    return [Requirement(line) for section in sections for line in section.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("serve.lock", ("serving", "training")), ("dev.lock", ("serving", "training", "reports", "dev"))],
)
def test_every_requirement_is_pinned_to_a_version_that_fits(root: Path, lock: str, extras: tuple[str, ...]) -> None:
    pinned = pins(root / "requirements" / lock)
    missing = [
        str(requirement)
        for requirement in wanted(root, *extras)
        if (name := canonicalize_name(requirement.name)) not in ELSEWHERE
        and not requirement.specifier.contains(pinned.get(name, "0"))
    ]
    assert missing == [], "run scripts/lock.sh"


def test_both_locks_agree(root: Path) -> None:
    serve, dev = pins(root / "requirements" / "serve.lock"), pins(root / "requirements" / "dev.lock")
    assert serve.items() <= dev.items()


@pytest.mark.parametrize(
    "lock",
    [
        "serve.lock",
        "dev.lock",
        "gateway.lock",
        "build.lock",
        "s3.lock",
        "java.txt",
        "all-mpnet-base-v2.txt",
        "bench-phi.lock",
        "bench-icd.lock",
    ],
)
def test_every_pin_has_a_hash_and_no_address_of_ours(root: Path, lock: str) -> None:
    text = (root / "requirements" / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text


def test_the_gateways_lock_is_what_it_needs_without_a_model(root: Path) -> None:
    pinned, serve = pins(root / "requirements" / "gateway.lock"), pins(root / "requirements" / "serve.lock")
    model = {"tokenizers", "torch", "transformers"}
    missing = [str(r) for r in wanted(root, "gateway") if canonicalize_name(r.name) not in pinned.keys() | model]
    assert missing == [], "run scripts/lock.sh"
    assert pinned.items() <= serve.items()
    assert not pinned.keys() & (model | {"torchserve", "huggingface-hub", "nvgpu"})


def test_torch_is_pinned_and_fits(root: Path) -> None:
    [torch] = [requirement for requirement in wanted(root) if requirement.name == "torch"]
    assert torch.specifier.contains(pins(root / "requirements" / "torch.txt")["torch"])
