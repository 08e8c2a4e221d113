"""MDM^T02 → note, and the acknowledgement."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hl7apy.parser import parse_message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clincode.errors import ClincodeError, RequestError
from clincode.types import NoteType
from gateway.hl7 import acknowledgement, read_header, read_mdm, refusal

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECRET = "Zyxwort carcinoma"
VERSIONS = ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"]

MESSAGE = "\r".join(
    [
        r"MSH|^~\&|TRANSCRIPT|NORTH^1.2.3^ISO|CLINCODE|CODING|20260301101500||MDM^T02^MDM_T02|MSG0001|P|2.5.1||||||"
        "UNICODE UTF-8",
        "EVN|T02|20260301101500",
        "PID|1||800123^^^NORTH^MR~99^^^OTHER^PI||DOE^JANE||19500101|F",
        "PV1|1|I|W3^12^A|||||||CAR|||||||||V4711^^^NORTH^VN",
        "TXA|1|DS^Discharge summary|TX|202603011000+0100|77^WELBY^MARCUS||||88^SMITH^ANN|||DOC-1001^NORTH|||||AU||AV",
        "OBX|1|TX|18842-5^Discharge summary^LN||DISCHARGE DIAGNOSIS: Acute myocardial infarction.||||||F",
        r"OBX|2|FT|18842-5^^LN||Denies dyspnea.\.br\HR 80\T\regular, BP 120\80~Started metoprolol.||||||F",
        "OBX|3|ED|PDF||^AP^^Base64^JVBERi0=||||||F",
        "OBX|4|ST|18842-5||Wrong line||||||W",
        "OBX|5|ST|18842-5||Signed: Ann Smith, M\xdcLLER.||||||F",
    ]
)
TEXT = (
    "DISCHARGE DIAGNOSIS: Acute myocardial infarction.\nDenies dyspnea.\nHR 80&regular, BP 120\\80\n"
    "Started metoprolol.\nSigned: Ann Smith, M\xdcLLER."
)


def changed(*changes: tuple[str, str], codec: str = "utf-8") -> bytes:
    message = MESSAGE
    for old, new in changes:
        assert old in message
        message = message.replace(old, new)
    return message.encode(codec)


def with_text(text: str) -> bytes:
    head = MESSAGE.split("\rOBX")[0]
    return f"{head}\rOBX|1|TX|||{text}||||||F\r".encode()


def test_what_is_read() -> None:
    message = read_mdm(MESSAGE.encode())
    assert message.note.text == TEXT
    assert message.note.note_type is NoteType.DISCHARGE_SUMMARY
    assert message.note.metadata == {"encounter_id": "V4711", "department": "CAR", "provider_id": "88"}
    assert message.control_id == "MSG0001"
    assert (message.sending_application, message.sending_facility) == ("TRANSCRIPT", "NORTH^1.2.3^ISO")
    assert (message.document_id, message.document_type) == ("DOC-1001", "DS")
    assert (message.patient_id, message.visit_id) == ("800123", "V4711")
    assert message.activity_time is not None
    assert message.activity_time.isoformat() == "2026-03-01T10:00:00+01:00"


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(version: str) -> None:
    message = read_mdm(changed(("|2.5.1|", f"|{version}|")))
    assert message.note.text == TEXT
    assert message.document_id == "DOC-1001"


@pytest.mark.parametrize(
    "payload",
    [
        b"\x0b" + MESSAGE.encode() + b"\x1c\r",
        MESSAGE.encode() + b"\r",
        MESSAGE.replace("\r", "\n").encode(),
        MESSAGE.replace("\r", "\r\n").encode(),
        changed(("UNICODE UTF-8", "8859/1"), codec="latin-1"),
        changed(("UNICODE UTF-8", "8859/15~ASCII"), codec="iso8859-15"),
        changed(("||||||UNICODE UTF-8", "")),
        changed(("MSG0001", "MSG0002"), ("20260301101500", "20260302101500")),
    ],
    ids=["mllp", "final CR", "LF", "CR LF", "8859/1", "8859/15 first", "no MSH-18", "sent again"],
)
def test_the_same_note_however_it_is_sent(payload: bytes) -> None:
    assert read_mdm(payload).note == read_mdm(MESSAGE.encode()).note


def test_other_separators() -> None:
    message = "MSH#$*!%#A#F###2026##MDM$T02#1#P#2.5\rTXA#1#OP#########77#D1$N\rOBX#1#TX###a!F!b|c!S!d!E!"
    read = read_mdm(message.encode())
    assert read.note.text == "a#b|c$d!"
    assert read.document_id == "D1"
    assert b"MSA#AA#1" in acknowledgement(read, code="AA", now=NOW)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ([("DOC-1001", "DOC-1002")], False),
        ([("NORTH^1.2.3^ISO", "SOUTH")], False),
        ([("metoprolol", "atenolol")], True),
    ],
)
def test_note_id_is_the_document_of_the_facility(changes: list[tuple[str, str]], same: bool) -> None:
    assert (read_mdm(changed(*changes)).note.note_id == read_mdm(MESSAGE.encode()).note.note_id) is same


def test_note_id_by_source() -> None:
    ids = {read_mdm(MESSAGE.encode(), source=source).note.note_id for source in ("", "a", "b")}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("code", "note_type"),
    [
        ("DS", "discharge_summary"),
        ("OP", "operative_report"),
        ("HP", "progress_note"),
        ("11504-8", "operative_report"),
        ("XX", "progress_note"),
    ],
)
def test_note_types(code: str, note_type: str) -> None:
    assert read_mdm(changed(("DS^Discharge summary", code))).note.note_type == note_type


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"a\.sp\b\.sp2\c\.ce\d", "a\nb\n\nc\nd"),
        (r"a\.sk3\b\.in+4\\.ti-2\\.fi\c\.nf\d", "a   bcd"),
        (r"\H\bold\N\ text", "bold text"),
        (r"a\X0D\\X0A\b", "a\r\nb"),
        (r"M\XC3\\XBC\ller", "M\xfcller"),
        (r"M\XC3BC\ller", "M\xfcller"),
        (r"BP 120\80 c:\temp", r"BP 120\80 c:\temp"),
        (r"a\C2842\b", "a�b"),
        ("one^two&three", "one^two&three"),
        ('one~""~three', "one\n\nthree"),
    ],
)
def test_escapes(field: str, text: str) -> None:
    assert read_mdm(with_text(field)).note.text == text


@pytest.mark.parametrize(
    ("payload", "status", "code", "field"),
    [
        (b"", 400, "invalid_hl7", "MSH"),
        (b"{}", 400, "invalid_hl7", "MSH"),
        (b"MSH|", 400, "invalid_hl7", "MSH"),
        (b"MSH||||||", 400, "invalid_hl7", "MSH"),
        (b"MSH|^~\\&|" + b"a" * (1 << 20), 413, "body_too_large", None),
        (changed(("MDM^T02^MDM_T02", "ADT^A01")), 422, "unsupported_message", "MSH-9"),
        (changed(("MDM^T02^MDM_T02", "MDM^T10^MDM_T10")), 422, "unsupported_event", "MSH-9"),
        (changed(("MDM^T02^MDM_T02", "")), 422, "unsupported_message", "MSH-9"),
        (changed(("|2.5.1|", "|2.2|")), 422, "unsupported_version", "MSH-12"),
        (changed(("|2.5.1|", "|3|")), 422, "unsupported_version", "MSH-12"),
        (changed(("MSG0001", "")), 422, "missing", "MSH-10"),
        (changed(("UNICODE UTF-8", "ISO IR87")), 422, "unsupported_charset", "MSH-18"),
        (changed(codec="latin-1"), 422, "bad_charset", "MSH-18"),
        (changed(("DOC-1001^NORTH", "")), 422, "missing", "TXA-12"),
        (changed(("DOC-1001^NORTH", "^NORTH")), 422, "missing", "TXA-12"),
        (changed(("TXA|1", "ZZZ|1")), 422, "missing", "TXA"),
        (changed(("AU||AV", "AU||CA")), 422, "entered_in_error", "TXA-19"),
        (MESSAGE.split("\rOBX")[0].encode(), 422, "missing", "OBX"),
        (changed(("|TX|", "|ED|"), ("|FT|", "|RP|"), ("|ST|", "|CE|")), 422, "unsupported_content_type", "OBX-2"),
        (with_text(""), 422, "string_too_short", "OBX-5"),
        (with_text("  ~ "), 422, "blank_text", "OBX-5"),
        (with_text("a" * 10_001), 422, "string_too_long", "OBX-5"),
        (with_text(r"\X00\a"), 422, "nul_character", "OBX-5"),
        (with_text(r"\XFF\a"), 422, "bad_charset", "OBX-5"),
        (MESSAGE.encode() + b"\rADD|more of it", 422, "unsupported_segment", "ADD"),
        (changed(("DOE^JANE", "^" * 9000)), 413, "segment_too_large", "PID"),
    ],
)
def test_refused(payload: bytes, status: int, code: str, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        read_mdm(payload)
    assert (caught.value.status, caught.value.body.code, caught.value.body.field) == (status, code, field)


SEGMENTS = ["MSH|^~\\&", "PID|1||", "PV1|1|I|", "TXA|1|DS|TX|", "OBX|1|TX|||", "OBX|1|FT", "ADD|", "ZZZ"]


@settings(max_examples=300, deadline=None)
@example(b"MSH|^~\\&|\xff")
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.tuples(st.sampled_from(SEGMENTS), st.text(alphabet="|^~\\&#aX0.br\n\x00\x1c\xe9 ", max_size=60)),
            max_size=6,
        ).map(lambda rows: "\r".join(head + tail for head, tail in rows).encode()),
        st.tuples(st.integers(0, len(MESSAGE) - 1), st.text(max_size=8)).map(
            lambda cut: (MESSAGE[: cut[0]] + cut[1] + MESSAGE[cut[0] + 3 :]).encode()
        ),
    )
)
def test_bytes_give_a_note_or_a_request_error(payload: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert read_mdm(payload).note.text
    with contextlib.suppress(RequestError):
        header = read_header(payload)
        assert acknowledgement(header, code="AE", now=NOW, location="OBX-5").startswith(b"MSH")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MESSAGE.split("|")), st.sampled_from(["", "\x00", "^^^^", "\\XFF\\", "9" * 300]))
def test_no_message_quotes_what_was_sent(old: str, new: str) -> None:
    payload = (MESSAGE.replace("metoprolol", SECRET) + "\rOBX|9|TX|||" + "x" * 10_000).replace(old or "\x01", new)
    caught = None
    try:
        read_mdm(payload.encode())
    except RequestError as error:
        caught = error
    if caught is not None:
        said = json.dumps(caught.body.to_dict()) + str(caught) + refusal(None, caught, now=NOW).decode()
        assert SECRET not in said
        assert "DOE" not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_acknowledgement_of_a_message(version: str) -> None:
    message = read_mdm(changed(("|2.5.1|", f"|{version}|")))
    segments = acknowledgement(message, code="AA", now=NOW).decode().split("\r")
    msh = segments[0].split("|")
    structure = "ACK^T02" if version == "2.3" else "ACK^T02^ACK"
    assert msh[2:6] == ["CLINCODE", "CODING", "TRANSCRIPT", "NORTH^1.2.3^ISO"]
    assert msh[6:9] == ["20260304050607+0000", "", structure]
    assert msh[10:12] == ["P", version]
    assert msh[17] == "UNICODE UTF-8"
    assert 0 < len(msh[9]) <= 20
    assert segments[1:] == ["MSA|AA|MSG0001", ""]


@pytest.mark.parametrize("version", VERSIONS)
def test_acknowledgement_of_a_fault(version: str) -> None:
    payload = with_text("a" * 10_001).replace(b"|2.5.1|", f"|{version}|".encode())
    with pytest.raises(RequestError) as caught:
        read_mdm(payload)
    answer = refusal(read_header(payload), caught.value, now=NOW).decode()
    _, msa, err, _ = answer.split("\r")
    said = "'OBX-5' must have at most 10000 characters"
    assert msa == f"MSA|AE|MSG0001|{said}" if version < "2.7" else msa == "MSA|AE|MSG0001"
    if version < "2.5":
        assert err == "ERR|OBX^1^5^104&Value too long&HL70357"
    else:
        assert err == f"ERR||OBX^1^5|104^Value too long^HL70357|E||||{said}"
    assert parse_message(answer.replace("|2.7.1|", "|2.7|")).msa.msa_1.to_er7() == "AE"


def test_acknowledgement_without_a_header() -> None:
    answer = acknowledgement(None, code="AR", now=NOW, text="no | MSH\rhere", location="MSH").decode()
    msh, msa, err, _ = answer.split("\r")
    assert msh.split("|")[8] == "ACK"
    assert msa == r"MSA|AR||no \F\ MSH here"
    assert err == r"ERR||MSH^1|207^Application internal error^HL70357|E||||no \F\ MSH here"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([("MDM^T02^MDM_T02", "ADT^A01^ADT_A01")], "AR"),
        ([("|2.5.1|", "|9.9|")], "AR"),
        ([("DOC-1001^NORTH", "")], "AE"),
    ],
)
def test_rejected_by_header_and_refused_by_content(changes: list[tuple[str, str]], code: str) -> None:
    payload = changed(*changes)
    with pytest.raises(RequestError) as caught:
        read_mdm(payload)
    assert f"\rMSA|{code}|MSG0001" in refusal(read_header(payload), caught.value, now=NOW).decode()


def test_a_known_document_with_another_text_is_a_duplicate() -> None:
    message = read_mdm(MESSAGE.encode())
    answer = refusal(message, RequestError("conflict", "the note is known", "TXA-12", status=409), now=NOW).decode()
    assert "\rMSA|AE|MSG0001" in answer
    assert "\rERR||TXA^1^12|205^Duplicate key identifier^HL70357|E" in answer


def test_a_service_that_is_down_rejects() -> None:
    message = read_mdm(MESSAGE.encode())
    answer = refusal(message, ClincodeError("model_unavailable", "the model does not answer"), now=NOW).decode()
    assert "\rMSA|AR|MSG0001" in answer
    assert "207^Application internal error" in answer
