"""The audit's sentences and persons: all can be read, all slots are filled, and nobody gets what is not theirs."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from clincode.icd import Terminology
from clincode.labels import EntityType
from clincode.types import Certainty, Experiencer
from training.bias.templates import PERSON_SLOTS, Filled, Gold, Template, Variant, fill, read_templates, read_variants
from training.corpora import CorpusError

Places = Callable[[Filled, Gold], tuple[int, int]]
HEADER = "id\tnote_type\ttopic\tperson\tnot_varied\ttext\n"
SEX_BOUND = re.compile(r"O|N4\d|N5[0-3]|N[789]\d|C5[1-8]|C6[0-3]|D25|E28\.2|P|F53")
AGE_BOUND = re.compile(r"O|P|F53|H25|M80|M81|N95")
BAD_ARTICLE = re.compile(r"\b(?:a [aeio]|a un(?!i[^n])|a 8|a 1[18]\b|an (?![aeioAEIO]|un|8|1[18]\b))")


def test_there_are_enough_and_their_names_are_their_own(templates: list[Template]) -> None:
    assert len(templates) >= 200
    assert len({re.sub(r"\W+", " ", str(template.pieces)) for template in templates}) == len(templates)
    assert len({template.topic for template in templates}) >= 15


def test_all_kinds_of_findings_are_there(templates: list[Template]) -> None:
    gold = [one for template in templates for one in template.gold]
    types = Counter(one.type for one in gold)
    said = Counter(one.assertion.certainty for one in gold)
    assert min(types[kind] for kind in EntityType) >= 20
    assert said[Certainty.NEGATED] >= 100
    assert said[Certainty.POSSIBLE] >= 20
    assert sum(one.assertion.experiencer is Experiencer.FAMILY for one in gold) >= 15
    assert sum(bool(one.codes) for one in gold) >= 300


def test_every_note_has_its_slots_filled_and_its_gold_in_place(
    templates: list[Template], variants: list[Variant], places: Places
) -> None:
    words: dict[tuple[str, int], set[str]] = {}
    for template in templates:
        for variant in variants:
            if not template.is_varied(variant):
                continue
            filled = fill(template, variant)
            assert not re.search(r"[{}\[\]|]|  ", filled.text), (template.id, variant.group)
            assert not BAD_ARTICLE.search(filled.text), filled.text
            for number, one in enumerate(template.gold):
                start, end = places(filled, one)
                assert filled.canonical(start, end) == (one.start, one.end)
                assert not any(start < slot_end and slot_start < end for slot_start, slot_end in filled.slots)
                words.setdefault((template.id, number), set()).add(filled.text[start:end])
    assert all(len(found) == 1 for found in words.values())


def test_verbs_agree_with_pronouns_alone(templates: list[Template]) -> None:
    """Only after a pronoun does a verb depend on the person: "They deny", but "A nonbinary person denies"."""
    for template in templates:
        slots = list(template.slots)
        verbs = [at for at, name in enumerate(slots) if "/" in name]
        assert all(at and slots[at - 1] in ("He", "he") for at in verbs), template.id
        assert set(slots) - {name for name in slots if "/" in name} <= {*PERSON_SLOTS, "He", "he", "him", "His", "his"}


def test_dimensions_are_balanced(templates: list[Template], variants: list[Variant]) -> None:
    used = Counter(
        v.dimension for v in {v.dimension: v for v in variants}.values() for t in templates if t.is_varied(v)
    )
    assert set(used) == {
        *("sex", "age", "race_ethnicity", "language", "insurance", "gender_identity", "name", "wording"),
    }
    assert min(used.values()) >= 200
    women = sum(template.is_female for template in templates)
    assert 0.4 < women / len(templates) < 0.6


def test_what_sex_or_age_may_rightly_change_is_not_varied_by_them(templates: list[Template]) -> None:
    for template in templates:
        codes = {code for one in template.gold for code in one.codes if one.assertion.experiencer != "family"}
        if any(SEX_BOUND.match(code) for code in codes):
            assert {"sex", "gender_identity"} <= template.not_varied, template.id
        if any(AGE_BOUND.match(code) for code in codes) or template.age < 18 or template.topic == "obstetric":
            assert "age" in template.not_varied, template.id
        if template.age < 18 or "sex" in template.not_varied:
            assert "gender_identity" in template.not_varied, template.id


def test_gold_codes_are_of_the_year(templates: list[Template], terminology: Terminology) -> None:
    codes = {code for template in templates for one in template.gold for code in one.codes}
    assert [code for code in codes if code not in terminology] == []


def test_what_is_not_varied_is_a_dimension_or_a_group(templates: list[Template], variants: list[Variant]) -> None:
    known = {v.dimension for v in variants} | {f"{v.dimension}:{v.group}" for v in variants}
    assert {name for template in templates for name in template.not_varied} <= known


TEXT = (
    "{A_person} says {he} {is/are} fine: no [chest pain|DIAGNOSIS|negated|R07.9/R07.89]. {short}. {His} [arm|ANATOMY]."
)


@pytest.mark.parametrize(
    ("person", "variant", "expected"),
    [
        ("man 84", ("sex", "female", "{a} {age} {noun}", "{yo} {MF}", "she"), "An 84-year-old woman says she is fine"),
        (
            "girl 11",
            ("wording", "x", "{a} {older} {noun}", "{yo} {MF}", "sexed"),
            "A 12-year-old girl says she is fine",
        ),
        ("woman 18", ("x", "x", "{a} {spaced} {noun}", "{yo}", "sexed"), "An 18 year old woman says she is fine"),
        ("woman 30", ("x", "x", "{a} nonbinary person", "{yo}", "they"), "A nonbinary person says they are fine"),
        ("woman 30", ("x", "x", "{a} uninsured patient", "{yo}", "he"), "An uninsured patient says he is fine"),
        ("woman 30", ("name", "x", "{Todd/Emily} Xu", "{Todd/Emily} Xu", "sexed"), "Emily Xu says she is fine"),
        ("boy 3", ("name", "x", "{Todd/Emily} Xu", "{Todd/Emily} Xu", "sexed"), "Todd Xu says he is fine"),
    ],
)
def test_persons_fill_slots(
    tmp_path: Path, places: Places, person: str, variant: tuple[str, ...], expected: str
) -> None:
    path = tmp_path / "templates.tsv"
    path.write_text(f"{HEADER}a-1\tprogress_note\ta\t{person}\t\t{TEXT}\n", encoding="utf-8")
    (template,) = read_templates(path)
    dimension, group, *rest = variant
    filled = fill(template, Variant(dimension, group, "", *rest))
    assert filled.text.startswith(f"{expected}: no chest pain. ")
    pain, arm = template.gold
    assert [filled.text[slice(*places(filled, one))] for one in (pain, arm)] == ["chest pain", "arm"]
    assert pain.codes == {"R07.9", "R07.89"}
    assert (pain.assertion.certainty, arm.assertion.certainty) == ("negated", "affirmed")


CANONICAL = "{A_person} has pain. {He} {is/are} ill."
"""As "Al has pain. He is ill.": slots at 0, 12 and 14 of the template, 0-2, 13-15 and 16-18 of that text."""


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((7, 11), (6, 10)),  # pain
        ((0, 2), (0, 1)),  # Al
        ((1, 2), (0, 1)),  # a part of a slot is the slot
        ((0, 1), (0, 1)),
        ((0, 11), (0, 10)),  # Al has pain
        ((1, 11), (0, 10)),
        ((7, 14), (6, 13)),  # pain. H
        ((13, 15), (12, 13)),  # He
        ((14, 17), (12, 15)),  # e i
        ((19, 22), (16, 19)),  # ill
    ],
)
def test_offsets_are_the_templates(tmp_path: Path, place: tuple[int, int], expected: tuple[int, int]) -> None:
    path = tmp_path / "templates.tsv"
    path.write_text(f"{HEADER}a-1\tprogress_note\ta\tman 40\t\t{CANONICAL}\n", encoding="utf-8")
    filled = fill(read_templates(path)[0], Variant("x", "x", "", "Al", "Al", "he"))
    assert filled.text == "Al has pain. He is ill."
    assert filled.slots == ((0, 2), (13, 15), (16, 18))
    assert filled.canonical(*place) == expected
    assert filled.is_person(*place) is (place in {(0, 2), (1, 2), (0, 1), (13, 15)})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a-1\tprogress_note\ta\tman 40\t\tNobody.", "nobody stands in it"),
        ("a-1\tprogress_note\ta\tman 4\t\t{short}", "no person"),
        ("a-1\tletter\ta\tman 40\t\t{short}", "no type of note"),
        ("a-1\tprogress_note\ta\tman 40\t\t{short} [x|DISEASE]", "no mention"),
        ("a-1\tprogress_note\ta\tman 40\t\t{short} [x|TEST|maybe]", "no mention"),
        ("a-1\tprogress_note\ta\tman 40\t\t{short} [x|TEST|||y]", "no mention"),
        ("a-1\tprogress_note\ta\tman 40\t\t{short} [x", "not closed"),
        ("a-1\tprogress_note\ta\tman 40\t{short}", "columns"),
    ],
)
def test_a_bad_template_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "templates.tsv"
    path.write_text(f"{HEADER}{row}\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"templates\.tsv:2: .*{message}"):
        read_templates(path)


def test_a_group_is_compared_with_a_reference_of_its_dimension(tmp_path: Path) -> None:
    path = tmp_path / "variants.tsv"
    path.write_text("dimension\tgroup\tagainst\tlong\tshort\tpronouns\nsex\tx\ty\ta\ta\the\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no reference 'y'"):
        read_variants(path)
