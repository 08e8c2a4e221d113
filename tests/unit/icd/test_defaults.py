"""From a category to the billable code that says no more; and the grammar of titles."""

import pytest

from clincode.icd import Terminology
from clincode.icd.defaults import SPECIFIC, Defaults
from clincode.icd.variants import Grammar, forms


@pytest.mark.parametrize(
    ("category", "code"),
    [
        ("I21", "I21.9"),
        ("I10", "I10"),
        ("E10", "E10.9"),
        ("E11", "E11.9"),
        ("A04.7", "A04.72"),  # not specified as recurrent
        ("J84.11", "J84.111"),
        ("I50", "I50.9"),
        ("G43", "G43.909"),
        ("G40", "G40.909"),
        ("J45", "J45.909"),
        ("K35", "K35.80"),
        ("K50", "K50.90"),
        ("K85", "K85.90"),
        ("C50", "C50.919"),
        ("C67", "C67.9"),
        ("F03", "F03.90"),
        ("F20", "F20.9"),
        ("I25.1", "I25.10"),
        ("I46", "I46.9"),
        ("I63", "I63.9"),
        ("I70", "I70.90"),
        ("I71", "I71.9"),
        ("J96", "J96.90"),
        ("N18", "N18.9"),
        ("O14", "O14.90"),
        ("R10", "R10.9"),
        ("L89", "L89.90"),
        ("S06.0", "S06.0XAA"),
        ("S06.9", "S06.9XAA"),
        ("S52.5", "S52.509A"),
        ("S72.00", "S72.009A"),
        ("M25.5", "M25.50"),
    ],
)
def test_default(terminology: Terminology, category: str, code: str) -> None:
    default = Defaults(terminology)[category]
    assert (default.code, default.cost < SPECIFIC) == (code, True)


def test_every_code_has_a_billable_default_below_it(terminology: Terminology) -> None:
    defaults = Defaults(terminology)
    for code in list(terminology.base_codes())[::4]:
        default = defaults[code].code
        assert terminology.is_billable(default)
        assert default == code or code in terminology.ancestors(default)


@pytest.mark.parametrize(
    ("code", "broadest"), [("I21.9", "I21"), ("I50.9", "I50"), ("I10", "I10"), ("I21.4", "I21.4"), ("G43.909", "G43")]
)
def test_broadest_of_the_same_meaning(terminology: Terminology, code: str, broadest: str) -> None:
    assert Defaults(terminology).broadest(code) == broadest


@pytest.mark.parametrize(
    ("title", "form", "grammar"),
    [
        ("Essential (primary) hypertension", "Essential hypertension", Grammar.NONESSENTIAL),
        ("Essential (primary) hypertension", "primary hypertension", Grammar.NONESSENTIAL),
        ("hypertension (arterial) (benign)", "hypertension", Grammar.NONESSENTIAL),
        ("hypertension (arterial) (benign)", "hypertension benign", Grammar.NONESSENTIAL),
        ("Human immunodeficiency virus [HIV] disease", "HIV disease", Grammar.NONESSENTIAL),
        ("Thyrotoxicosis [hyperthyroidism]", "hyperthyroidism", Grammar.NONESSENTIAL),
        ("Pneumonia, unspecified organism", "Pneumonia", Grammar.NOTHING_MORE),
        ("Asthma, unspecified, uncomplicated", "Asthma", Grammar.NOTHING_MORE),
        ("Type 2 diabetes mellitus without complications", "Type 2 diabetes mellitus", Grammar.NOTHING_MORE),
        ("Malignant neoplasm of kidney, except renal pelvis", "Malignant neoplasm of kidney", Grammar.NOTHING_MORE),
        ("Cataract, unspecified eye", "Cataract", Grammar.NOTHING_MORE),
        ("Phlebitis and thrombophlebitis", "thrombophlebitis", Grammar.HALF),
        ("Calculus of kidney and ureter", "Calculus of ureter", Grammar.HALF),
    ],
)
def test_form(title: str, form: str, grammar: Grammar) -> None:
    assert (form, grammar) in list(forms(title))
    assert next(forms(title)) == (title, Grammar.VERBATIM)


@pytest.mark.parametrize(
    ("title", "form"),
    [
        ("Pain in unspecified knee", "Pain"),
        ("Cirrhosis (of liver) NOS", "of liver"),
        ("Other pneumonia and influenza", "influenza"),
        ("Migraine, unspecified, intractable", "Migraine"),
    ],
)
def test_what_a_title_does_not_say(title: str, form: str) -> None:
    assert form not in [text for text, _ in forms(title)]
