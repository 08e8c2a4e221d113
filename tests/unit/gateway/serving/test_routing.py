"""Which version answers a note: by its id alone, in the shares that the file says, and from a file that may change."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from gateway.serving import routing as module
from gateway.serving.routing import RoutingFile, fraction, read_routing

BASE = """
production: stable
targets:
  stable: {url: "http://127.0.0.1:8080/predictions/bert-clinical-ner/1.0.0", key_file: keys/stable.json}
  next: {url: "http://127.0.0.1:9080/predictions/bert-clinical-ner/1.1.0", key_file: /run/keys/next.json}
"""
IDS = [str(UUID(int=number << 64 | number * 7919)) for number in range(4000)]


def written(folder: Path, text: str) -> Path:
    path = folder / "routing.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def share(path: Path, target: str) -> float:
    routing = read_routing(path)
    return sum(routing.target_for(note_id) == target for note_id in IDS) / len(IDS)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", 0.0),
        ("canary: {target: next, share: 0.05}", 0.05),
        ("canary: {target: next, share: 1}", 1.0),
        ("canary: {target: next, share: 0}", 0.0),
        ("experiment: {name: spring, target: next}", 0.5),
        ("canary: {target: next, share: 0.2}\nexperiment: {name: spring, target: next, share: 0.5}", 0.6),
    ],
)
def test_shares(tmp_path: Path, more: str, expected: float) -> None:
    assert share(written(tmp_path, BASE + more), "next") == pytest.approx(expected, abs=0.02)


def test_a_note_always_comes_to_the_same_version_and_experiments_are_independent() -> None:
    assert fraction("spring", IDS[0].upper()) == fraction("spring", IDS[0])
    both = sum(fraction("a", i) < 0.5 and fraction("b", i) < 0.5 for i in IDS) / len(IDS)
    assert both == pytest.approx(0.25, abs=0.02)


def test_a_key_file_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    targets = read_routing(written(tmp_path, BASE)).targets
    assert targets["stable"].key_file == tmp_path / "keys" / "stable.json"
    assert targets["next"].key_file == Path("/run/keys/next.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace("production: stable", "production: other"), "'other' is not among the targets"),
        (BASE + "canary: {target: other, share: 0.1}", "canary.target"),
        (BASE + "canary: {target: next, share: 1.5}", "canary.share"),
        (BASE + "kanary: {target: next, share: 0.1}", "kanary"),
        (BASE.replace("http://127.0.0.1:8080", "file:///etc"), "targets.stable.url"),
        ("[]", "routing.yaml"),
        ("production: [", "routing.yaml"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"routing\.yaml") as fault:
        read_routing(written(tmp_path, text))
    assert said in str(fault.value)


def test_the_file_is_read_again_and_a_slip_leaves_the_old_routing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.0)
    path = written(tmp_path, BASE)
    routing = RoutingFile(path)
    assert routing.current().production == "stable"

    def change(text: str, stamp: int) -> str:
        os.utime(written(tmp_path, text), ns=(stamp, stamp))
        return routing.current().production

    assert change(BASE.replace("production: stable", "production: next"), 1) == "next"
    assert change("production: nobody", 2) == "next"
    assert routing.fault is not None
    assert change(BASE, 3) == "stable"
    assert routing.fault is None
    path.unlink()
    assert routing.current().production == "stable"
    assert routing.fault is not None
