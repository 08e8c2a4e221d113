"""Context through the real server: negation, words and abbreviations with several senses, references, own rows."""

from typing import Any

import pytest

from .conftest import Server, request

pytestmark = pytest.mark.integration


def entities(server: Server, text: str) -> list[dict[str, Any]]:
    answer = server.post(request(text))
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["entities"]
    return found


def holding(found: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    return [entity for entity in found if words.lower() in entity["text"].lower()]


@pytest.mark.parametrize(
    ("text", "certainty", "trigger"),
    [("Patient denies chest pain.", "negated", "denies"), ("Patient reports chest pain.", "affirmed", None)],
)
def test_negation(server: Server, text: str, certainty: str, trigger: str | None) -> None:
    (pain,) = holding(entities(server, text), "chest pain")
    assert (pain["type"], pain["certainty"], pain["negation_trigger"]) == ("DIAGNOSIS", certainty, trigger)
    assert pain["is_negated"] is (certainty == "negated")


@pytest.mark.parametrize(
    ("text", "word", "kind"),
    [
        ("The discharge summary was dictated.", "discharge", None),
        ("There is purulent wound discharge.", "wound discharge", "DIAGNOSIS"),
        ("She is COVID-19 positive.", "COVID-19", "DIAGNOSIS"),
        ("He has a positive outlook on recovery.", "positive", None),
    ],
)
def test_words_with_two_senses(server: Server, text: str, word: str, kind: str | None) -> None:
    found = holding(entities(server, text), word)
    assert [(entity["type"], entity["is_negated"]) for entity in found] == ([(kind, False)] if kind else [])


def test_it_is_the_mass(server: Server) -> None:
    text = "The mass was biopsied. It was benign."
    answer = server.post(request(text)).json()
    mass = holding(answer["entities"], "mass")[0]
    reference = {"text": "It", "start_char": 23, "end_char": 25}
    assert answer["references"] == [
        {**reference, "antecedent_start": mass["start_char"], "antecedent_end": mass["end_char"]}
    ]


@pytest.mark.parametrize(
    ("text", "sense", "kind"),
    [
        ("Relapsing-remitting MS on ocrelizumab, new plaques on MRI.", "multiple sclerosis", "DIAGNOSIS"),
        ("Rheumatic MS with a valve area of 1.1 cm2 on echo.", "mitral stenosis", "DIAGNOSIS"),
        ("Received MS 4 mg IV q4h prn for pain.", "morphine sulfate", "MEDICATION"),
        ("Altered MS, lethargic and not oriented to place.", "mental status", None),
    ],
)
def test_ms_in_four_senses(server: Server, text: str, sense: str, kind: str | None) -> None:
    found = holding(entities(server, text), "MS")
    assert [(entity["expansion"], entity["type"]) for entity in found] == ([(sense, kind)] if kind else [])


def test_a_hospitals_own_cue_acts(server: Server) -> None:
    (fever,) = holding(entities(server, "Fever: sine morbo hodie."), "fever")
    assert (fever["certainty"], fever["negation_trigger"]) == ("negated", "sine morbo")
