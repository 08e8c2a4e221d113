"""Coding through the real server: the README's note, with a combination, a side, an encounter, history and family."""

import json
import re
from pathlib import Path

import pytest

from .conftest import Server, request

pytestmark = pytest.mark.integration
README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_what_the_server_answers(server: Server) -> None:
    blocks = re.findall(r"```json\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    asked = next(json.loads(block) for block in blocks if "diabetic nephropathy" in block and "note_text" in block)
    shown = next(json.loads(block) for block in blocks if block.startswith('{"codes"') and "E11.21" in block)
    answer = server.post(asked)
    assert answer.status_code == 200
    codes = answer.json()["codes"]
    for given, expected in zip(codes, shown["codes"], strict=True):
        assert given.pop("confidence") == pytest.approx(expected.pop("confidence"), abs=0.03)
        assert given == expected


def test_every_diagnosis_has_candidates_and_the_list_has_evidence(server: Server) -> None:
    body = server.post(request("Acute appendicitis. Chronic kidney disease stage 3b. Denies fever.")).json()
    diagnoses = [entity for entity in body["entities"] if entity["type"] == "DIAGNOSIS"]
    assert all(entity["icd_codes"] for entity in diagnoses)
    assert [code["code"] for code in body["codes"]] == ["K35.80", "N18.32"]
    for code in body["codes"]:
        named = [body["entities"][index] for index in code["evidence"]]
        assert named
        assert all(code["code"] in [c["code"] for c in entity["icd_codes"]] for entity in named)
