"""Misspelt words → the words of the classification; what is known, or no slip away from one word alone, stays."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.icd import IcdLinker
from clincode.icd.spelling import Speller
from clincode.icd.word_index import one_edit

MISSPELT = [
    ("pnuemonia", "pneumonia"),
    ("Pnuemonia", "pneumonia"),
    ("PNUEMONIA", "pneumonia"),
    ("diverticulitus", "diverticulitis"),
    ("cellulitus", "cellulitis"),
    ("cellulits", "cellulitis"),
    ("apendicitis", "appendicitis"),
    ("pancreatitus", "pancreatitis"),
    ("tonsilitis", "tonsillitis"),
    ("bronchitus", "bronchitis"),
    ("menigitis", "meningitis"),
    ("encephaltis", "encephalitis"),
    ("gastroenteritus", "gastroenteritis"),
    ("cholecystits", "cholecystitis"),
    ("prostatitus", "prostatitis"),
    ("hepatitus", "hepatitis"),
    ("athritis", "arthritis"),
    ("rheumatiod", "rheumatoid"),
    ("psoriasus", "psoriasis"),
    ("schizophrena", "schizophrenia"),
    ("depresion", "depression"),
    ("anxeity", "anxiety"),
    ("demensia", "dementia"),
    ("epilepsey", "epilepsy"),
    ("diabtes", "diabetes"),
    ("hypertenson", "hypertension"),
    ("hypertention", "hypertension"),
    ("hyperlipidema", "hyperlipidemia"),
    ("hypothyriodism", "hypothyroidism"),
    ("fibrilation", "fibrillation"),
    ("infraction", "infarction"),
    ("ischemc", "ischemic"),
    ("stenosys", "stenosis"),
    ("embolsm", "embolism"),
    ("asthama", "asthma"),
    ("obstuctive", "obstructive"),
    ("pulmonery", "pulmonary"),
    ("exacerbaton", "exacerbation"),
    ("persistant", "persistent"),
    ("insufficency", "insufficiency"),
    ("anemai", "anemia"),
    ("lymphona", "lymphoma"),
    ("carcinma", "carcinoma"),
    ("malignent", "malignant"),
    ("hemorrage", "hemorrhage"),
    ("haemorrhage", "hemorrhage"),
    ("hemorroids", "hemorrhoids"),
    ("cirrosis", "cirrhosis"),
    ("diarhea", "diarrhea"),
    ("vomitting", "vomiting"),
    ("constipaton", "constipation"),
    ("dizzyness", "dizziness"),
    ("seizre", "seizure"),
    ("neuropathey", "neuropathy"),
    ("glaucma", "glaucoma"),
    ("cateract", "cataract"),
    ("fracure", "fracture"),
    ("shingels", "shingles"),
    ("urticara", "urticaria"),
    ("impetgo", "impetigo"),
    ("endometrosis", "endometriosis"),
    ("overdoes", "overdose"),
    ("bilatral", "bilateral"),
    # Of several that are near, the one that is much more frequent.
    ("osteoperosis", "osteoporosis"),  # not osteopetrosis
    ("migrane", "migraine"),  # not "migran"
    # In a phrase: all else stays as it is.
    ("Acute  pancreatitus, severe (ETOH)", "Acute  pancreatitis, severe (ETOH)"),
    ("moderate persistant asthama\nw/ exacerbaton", "moderate persistent asthma\nw/ exacerbation"),
    ("post-tramatic arthitis", "post-traumatic arthritis"),
    ("cellulitus/absess", "cellulitis/abscess"),
]
UNTOUCHED = [
    "pneumonia",
    "Pneumonia",
    "infections",
    "abscesses",
    "NSTEMI",
    "HFpEF",
    "",
    "\n",
    "patient walking yesterday evening",
    "Denies complaints, resting comfortably",
    "discharge planning continues through Thursday",
    "married teacher living alone with her daughter",
    "prescription refilled at the pharmacy",
    "started, switched, responded, scheduled",  # each a slip away from a word of the list
    "clinic appointment next Wednesday",
    "asma",  # too short to be sure
    "renel",
    "neumonia",  # the first letter is hardly ever the wrong one
    "diarreah",  # two slips
    "xyzzyqwert",
    "p53 E11.9 10mg/12h",
    "naïveté Ménière’s",
    "Stanisław",
    "resection, spirometry, A1 pulley",  # operations and tests, of which names of diseases know little
]


@pytest.fixture(scope="module")
def medical(linker: IcdLinker) -> list[str]:
    """Words of names that are letters alone; others are not looked at."""
    return sorted(word for word in linker.lookup.words() if word.isascii() and word.isalpha())


@pytest.mark.parametrize(("misspelt", "right"), MISSPELT)
def test_misspelt(speller: Speller, misspelt: str, right: str) -> None:
    assert speller.corrected(misspelt) == right


@pytest.mark.parametrize("text", UNTOUCHED)
def test_untouched(speller: Speller, text: str) -> None:
    assert speller.corrected(text) == text


def test_every_known_word_stays(speller: Speller, medical: list[str], ordinary_words: list[str]) -> None:
    known = [*medical, *filter(str.isascii, ordinary_words)]
    assert len(known) > 30_000
    assert [word for word in known if speller.corrected(word) != word] == []
    assert [word for word in known if speller.corrected(f"{word}s") not in (f"{word}s", word)] == []


def test_most_letters_left_out_of_long_words_are_put_back(speller: Speller, medical: list[str]) -> None:
    source = random.Random(20260101)
    right = wrong = 0
    for word in source.sample([word for word in medical if len(word) >= 9], 1000):
        at = source.randrange(1, len(word) - 1)
        slip = word[:at] + word[at + 1 :]
        found = speller.corrected(slip)
        right += found == word
        wrong += found not in (word, slip)
    assert right > 900
    assert wrong < 20


@settings(deadline=None)
@given(
    number=st.integers(0),
    place=st.integers(0),
    letter=st.sampled_from(["", *"abcdefghijklmnopqrstuvwxyz"]),
    dropped=st.integers(0, 1),
)
def test_a_corrected_word_is_one_slip_away_and_stays(
    speller: Speller, medical: list[str], number: int, place: int, letter: str, dropped: int
) -> None:
    word = medical[number % len(medical)]
    at = place % (len(word) + 1)
    written = word[:at] + letter + word[at + dropped :]
    found = speller.corrected(written)
    assert speller.corrected(found) == found
    if found != written:
        assert len(written) >= 6
        assert found in medical
        assert found in set(one_edit(written))
        assert found[0] == written[0]


@settings(deadline=None)
@given(st.text())
def test_what_is_between_words_stays(speller: Speller, text: str) -> None:
    found = speller.corrected(text)
    assert [c for c in found if not (c.isascii() and c.isalpha())] == [
        c for c in text if not (c.isascii() and c.isalpha())
    ]
    assert speller.corrected(found) == found


def test_a_small_vocabulary() -> None:
    speller = Speller(["asthma", "stroke", "strobe", "b12", "measles"], ["smokes"])
    assert speller.corrected("Asthmaa, strok, strove, smokes, measle, meassles") == (
        "asthma, strok, strove, smokes, measles, measles"
    )
    assert Speller([]).corrected("pnuemonia") == "pnuemonia"


@pytest.mark.parametrize(
    ("strokes", "strobes", "found"), [(1, 1, "strove"), (2, 1, "strove"), (3, 1, "stroke"), (1, 3, "strobe")]
)
def test_of_several_near_words_one_is_taken_that_is_three_times_as_frequent(
    strokes: int, strobes: int, found: str
) -> None:
    assert Speller({"stroke": strokes, "strobe": strobes}).corrected("strove") == found
