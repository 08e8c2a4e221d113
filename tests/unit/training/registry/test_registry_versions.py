"""Names of versions: what is one, their order, and the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.registry.versions import Version, next_version, parsed

NUMBERS = st.integers(0, 10**6)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "base", "large"]))


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version: Version) -> None:
    assert Version.parse(str(version)) == version


@pytest.mark.parametrize(
    "text",
    ["", "v1.2.3", "bert-clinical-ner-v1.2", "bert-clinical-ner-v1.2.03", "bert-clinical-ner-v1.2.3-", "../x",
     "bert-clinical-ner-v1.2.3-Base", "bert-clinical-ner-v1.2.3\n", "bert-clinical-ner-v1.2.3-base/.."],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        Version.parse(text)


def test_versions_are_ordered_by_number_not_by_letter() -> None:
    names = [f"bert-clinical-ner-v{v}" for v in ("1.10.0", "1.9.9", "2.0.0-base", "2.0.0", "0.1.0")]
    ordered = [str(v).removeprefix("bert-clinical-ner-v") for v in parsed([*names, "bert-clinical-ner.mar", "notes"])]
    assert ordered == ["0.1.0", "1.9.9", "1.10.0", "2.0.0", "2.0.0-base"]


@pytest.mark.parametrize(
    ("part", "expected"), [("major", "2.0.0"), ("minor", "1.11.0"), ("patch", "1.10.1")]
)  # fmt: skip
def test_the_next_one(part: str, expected: str) -> None:
    versions = [Version(1, 9, 9), Version(1, 10, 0), Version(7, 0, 0, "base")]
    assert str(next_version(versions, part)) == f"bert-clinical-ner-v{expected}"  # type: ignore[arg-type]


def test_the_first_one_and_that_of_a_variant() -> None:
    assert str(next_version([], "minor")) == "bert-clinical-ner-v0.1.0"
    assert str(next_version([Version(1, 0, 0), Version(1, 0, 0, "base")], "patch", "base")).endswith("v1.0.1-base")


@given(st.lists(VERSIONS), st.sampled_from(["major", "minor", "patch"]))
def test_the_next_one_is_newer_than_all(versions: list[Version], part: str) -> None:
    following = next_version(versions, part)  # type: ignore[arg-type]
    assert all(version < following for version in versions if not version.variant)
