import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.errors import RequestError
from clincode.request import MAX_BODY_BYTES, parse_request
from clincode.types import NoteType

SECRET = "zanzibar marmalade"
GOOD: dict[str, Any] = {
    "note_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "note_text": f"Patient with {SECRET} denies chest pain.",
    "note_type": "discharge_summary",
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("payload", "status", "code", "field"),
    [
        (b"", 400, "invalid_json", None),
        (b"not json", 400, "invalid_json", None),
        (SECRET.encode(), 400, "invalid_json", None),
        (b'{"note_id": "\xff"}', 400, "invalid_json", None),
        (b'{"note_id": NaN}', 400, "invalid_json", None),
        (b"[" * 100_000, 400, "invalid_json", None),
        (b"[]", 400, "not_an_object", None),
        (b'"text"', 400, "not_an_object", None),
        (b'{"note_id": "a", "note_id": "b"}', 400, "duplicate_field", None),
        (b" " * (MAX_BODY_BYTES + 1), 413, "body_too_large", None),
        (without("note_id"), 422, "missing", "note_id"),
        (without("note_text"), 422, "missing", "note_text"),
        (without("note_type"), 422, "missing", "note_type"),
        ({**GOOD, "note_id": "12"}, 422, "bad_uuid", "note_id"),
        ({**GOOD, "note_id": 12}, 422, "string_type", "note_id"),
        ({**GOOD, "note_text": ""}, 422, "string_too_short", "note_text"),
        ({**GOOD, "note_text": " \n\t"}, 422, "blank_text", "note_text"),
        ({**GOOD, "note_text": "x" * 10_001}, 422, "string_too_long", "note_text"),
        ({**GOOD, "note_text": f"{SECRET}\x00"}, 422, "nul_character", "note_text"),
        ({**GOOD, "note_text": f"{SECRET}\ud800"}, 422, "string_unicode", "note_text"),
        ({**GOOD, "note_text": [SECRET]}, 422, "string_type", "note_text"),
        ({**GOOD, "note_text": None}, 422, "string_type", "note_text"),
        ({**GOOD, "note_type": "letter"}, 422, "literal_error", "note_type"),
        ({**GOOD, "priority": "stat"}, 422, "literal_error", "priority"),
        ({**GOOD, "extra": SECRET}, 422, "unknown_field", "extra"),
        ({**GOOD, "metadata": SECRET}, 422, "model_type", "metadata"),
        ({**GOOD, "metadata": {"ward": "7"}}, 422, "unknown_field", "metadata.ward"),
        ({**GOOD, "metadata": {"department": 7}}, 422, "string_type", "metadata.department"),
    ],
)
def test_bad_requests_are_refused_by_field_and_never_quoted(
    payload: Any, status: int, code: str, field: str | None
) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(payload)
    body = caught.value.body
    assert (caught.value.status, body.code, body.field) == (status, code, field)
    assert "zanzibar" not in json.dumps(body.to_dict()) + str(caught.value)
    assert caught.value.__cause__ is None
    if field:
        assert field in body.message


def test_lone_surrogates_are_refused_as_raw_json_too() -> None:
    raw = json.dumps({**GOOD, "note_text": "fever \ud83d"}).encode()
    with pytest.raises(RequestError) as caught:
        parse_request(raw)
    assert caught.value.body.field == "note_text"


@pytest.mark.parametrize("as_type", [dict, str, bytes, bytearray])
def test_a_good_request_becomes_a_note(as_type: type) -> None:
    data = {**GOOD, "priority": "urgent", "metadata": {"department": "cardiology"}}
    raw = json.dumps(data)
    payload: Any = data if as_type is dict else raw if as_type is str else as_type(raw.encode())
    note = parse_request(payload)
    assert note.text == GOOD["note_text"]
    assert note.note_type is NoteType.DISCHARGE_SUMMARY
    assert (note.priority, note.metadata) == ("urgent", {"department": "cardiology"})


def test_ten_thousand_characters_are_accepted() -> None:
    assert len(parse_request({**GOOD, "note_text": "🤒" * 10_000}).text) == 10_000


def test_the_longest_legal_note_fits_the_body_limit_however_it_is_escaped() -> None:
    raw = json.dumps({**GOOD, "note_text": "🤒" * 10_000}).encode()
    assert raw.count(b"\\u") == 20_000
    assert parse_request(raw).text == "🤒" * 10_000


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@given(json_values)
def test_any_other_json_is_a_request_error(value: Any) -> None:
    with pytest.raises(RequestError) as caught:  # no such value is by chance a whole request
        parse_request(json.dumps(value))
    assert 400 <= caught.value.status < 500
