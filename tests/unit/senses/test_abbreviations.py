"""The sense of an abbreviation is the one that its note means, and none where the note does not say."""

import pytest

from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.senses import expanded, resolve_abbreviations, with_abbreviations
from clincode.senses.abbreviations import default_senses, local_definitions
from clincode.senses.table import parse_senses
from clincode.types import Span


def senses(note: str, form: str) -> list[str]:
    return [
        u.sense.expansion for u in resolve_abbreviations(note, split_sentences(note)) if note[u.start : u.end] == form
    ]


NOTES = [
    ("Relapsing-remitting MS on ocrelizumab, followed by neurology.", "MS", "multiple sclerosis"),
    ("Diastolic rumble at the apex; echo shows MS with a valve area of 1.1 cm2.", "MS", "mitral stenosis"),
    ("Received MS 4 mg IV q4h prn for pain.", "MS", "morphine sulfate"),
    ("Found lethargic with altered MS, not oriented to place.", "MS", "mental status"),
    ("RA on methotrexate with swelling of both hands.", "RA", "rheumatoid arthritis"),
    ("Saturating 97% on RA.", "RA", "room air"),
    ("Echo: RA and RV dilated.", "RA", "right atrium"),
    ("CTA positive for PE; heparin started.", "PE", "pulmonary embolism"),
    ("PE: vitals stable, lungs clear, abdomen soft.", "PE", "physical examination"),
    ("Denies CP, SOB or palpitations.", "CP", "chest pain"),
    ("Boy with spastic CP, wheelchair bound, g-tube fed.", "CP", "cerebral palsy"),
    ("PT and OT evaluation for gait.", "PT", "physical therapy"),
    ("PT 14.2 sec, INR 1.2, PTT 30.", "PT", "prothrombin time"),
    ("VA 20/40 OD, 20/25 OS; IOP 16.", "OD", "right eye"),
    ("Intentional OD of acetaminophen, suicidal.", "OD", "overdose"),
    ("BPD with self-harm, started dialectical therapy.", "BPD", "borderline personality disorder"),
    ("Ex-26 weeks premature infant with BPD on home oxygen.", "BPD", "bronchopulmonary dysplasia"),
    ("Fetal ultrasound: BPD 88 mm, HC 310 mm.", "BPD", "biparietal diameter"),
]


@pytest.mark.parametrize(("note", "form", "sense"), NOTES)
def test_the_sense_that_the_note_means(note: str, form: str, sense: str) -> None:
    assert senses(note, form) == [sense]


def test_without_a_hint_there_is_no_sense() -> None:
    assert senses("BPD.", "BPD") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("multiple sclerosis (MS) was diagnosed", {"MS": "multiple sclerosis"}),
        ("a ventricular septal defect (VSD)", {"VSD": "ventricular septal defect"}),
        ("given twice (BID)", {}),
        ("was seen (see above)", {}),
        ("anti-neutrophil cytoplasmic antibodies (ANCA)", {"ANCA": "anti-neutrophil cytoplasmic antibodies"}),
    ],
)
def test_what_a_note_defines(text: str, expected: dict[str, str]) -> None:
    assert local_definitions(text) == expected


def test_a_definition_decides_for_the_whole_note() -> None:
    note = "History of mitral stenosis (MS).\nMS is followed by neurology; no relapse, no new lesions."
    assert senses(note, "MS") == ["mitral stenosis", "mitral stenosis"]


def test_a_clear_sense_sets_the_models_spans_right() -> None:
    note = "Received MS 4 mg IV q4h. Denies CP, SOB. Altered MS, lethargic, not oriented."
    first, cp, last = note.index("MS"), note.index("CP"), note.rindex("MS")
    found = [Span(first, first + 2, EntityType.DIAGNOSIS, 0.7), Span(last, last + 2, EntityType.DIAGNOSIS, 0.6)]
    uses = resolve_abbreviations(note, split_sentences(note), found)
    spans = with_abbreviations(found, uses)
    assert [(note[s.start : s.end], s.type) for s in spans] == [
        ("MS", EntityType.MEDICATION),
        ("CP", EntityType.DIAGNOSIS),
        ("SOB", EntityType.DIAGNOSIS),
    ]
    assert expanded(note, spans[1], uses) == ("chest pain", "chest pain")
    assert spans[1].start == cp


def test_words_in_capitals_are_no_abbreviations() -> None:
    assert senses("ALL OTHER SYSTEMS WERE REVIEWED AS ABOVE", "ALL") == []


def test_the_table_is_as_large_as_it_should_be() -> None:
    table = default_senses()
    assert len(table) >= 150
    assert sum(len(found) > 1 for found in table.values()) >= 40


@pytest.mark.parametrize(
    ("change", "fault"),
    [({"type": "DISEASE"}, "unknown type"), ({"prior": "often"}, "prior"), ({"sense": ""}, "needs")],
)
def test_a_broken_row_is_named(change: dict[str, str], fault: str) -> None:
    row = {"abbreviation": "XY", "sense": "x y", "type": "TEST", "prior": "1", "clues": ""}
    with pytest.raises(ResourceError, match=fault):
        parse_senses([{**row, **change}], "abbreviation", "a.tsv")
    with pytest.raises(ResourceError, match="twice"):
        parse_senses([row, row], "abbreviation", "a.tsv")
