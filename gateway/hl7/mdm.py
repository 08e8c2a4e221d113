"""HL7 v2 MDM^T02 (original document notification and content), v2.3 to v2.8.2 → a ``Note``.

``note_id`` is UUIDv5 over sending facility (MSH-4) and unique document number (TXA-12): a message that is sent again,
with a new control id (MSH-10) too, is the same note. MDM has no versions of a document – a replacement or an addendum
is another event (T04 to T11), which is refused here – so a T02 with a known number and another text has a known
``note_id``, and whoever stores notes decides.

The text is OBX-5 of the OBX segments of type TX, FT and ST, in the order of the message, repetitions and segments
joined by line feeds, escape sequences decoded; OBX-11 "D" (deleted) and "W" (wrong) are passed over. Offsets in an
answer count in this text.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import NAMESPACE_URL, uuid5

from hl7apy.core import Segment

from clincode.errors import RequestError
from clincode.request import parse_request
from clincode.types import Note, NoteType
from gateway.fhir.document_types import note_type_of
from gateway.hl7.escapes import unescape
from gateway.hl7.header import VERSIONS, MessageHeader, field_text, open_message, repetitions, segment_of

TEXT_TYPES = frozenset({"TX", "FT", "ST"})
NOTE_TYPES: dict[str, NoteType] = {
    # HL7 table 0270, document type; what is not listed is taken for a progress note.
    "DS": NoteType.DISCHARGE_SUMMARY,  # discharge summary
    "TS": NoteType.DISCHARGE_SUMMARY,  # transfer summary
    "OP": NoteType.OPERATIVE_REPORT,  # operative report
    "PN": NoteType.OPERATIVE_REPORT,  # procedure note
    "CN": NoteType.PROGRESS_NOTE,  # consultation
    "ED": NoteType.PROGRESS_NOTE,  # emergency department report
    "HP": NoteType.PROGRESS_NOTE,  # history and physical examination
    "PC": NoteType.PROGRESS_NOTE,  # psychiatric consultation
    "PH": NoteType.PROGRESS_NOTE,  # psychiatric history and physical examination
    "PR": NoteType.PROGRESS_NOTE,  # progress note
}

_NAMESPACE = uuid5(NAMESPACE_URL, "https://clincode.dev/hl7/note")
_MAX_ID_CHARS = 256
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.\d{1,4})?)?)?([+-]\d{4})?")


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A note that fits the contract, and what the message says of it; ids are single components, escapes decoded.

    ``activity_time`` (TXA-4) is naive where the message gives no zone, and None where it gives no whole date.
    """

    note: Note
    header: MessageHeader
    document_id: str
    document_type: str
    patient_id: str | None
    visit_id: str | None
    activity_time: datetime | None

    @property
    def control_id(self) -> str:
        return self.header.control_id

    @property
    def sending_application(self) -> str:
        return self.header.sending_application

    @property
    def sending_facility(self) -> str:
        return self.header.sending_facility


def read_mdm(payload: bytes, *, source: str = "") -> IncomingMessage:
    """The note of an MDM^T02, with or without MLLP's frame.

    ``source`` names the sender; it keeps document numbers of facilities of the same name apart.

    Raises:
        RequestError: 400 where it is no HL7 v2 message, 413 where it is over 1 MiB, 422 where it is another message or
            does not fit; ``field`` is the place, "MSH-9", "TXA-12", "OBX-5". No message quotes what was sent.
    """
    envelope = open_message(payload)
    header = envelope.header
    _check_header(header)
    message = _Message(header, envelope.lines)
    document = [message.decode(part) for part in message.text("TXA", 12).split(message.separators["COMPONENT"])]
    if not document[0]:
        raise RequestError("missing", "'TXA-12' is required", "TXA-12")
    if message.text("TXA", 19) == "CA":
        raise RequestError("entered_in_error", "'TXA-19' says that the document was deleted", "TXA-19")
    document_type = message.first("TXA", 2) or ""
    visit_id = message.first("PV1", 19)
    request = {
        "note_id": str(uuid5(_NAMESPACE, json.dumps([source, message.decode(header.sending_facility), document]))),
        "note_text": message.note_text(),
        "note_type": _note_type(document_type).value,
        "metadata": {
            "encounter_id": visit_id,
            "department": message.first("PV1", 10) or message.first("PV1", 3),
            "provider_id": message.first("TXA", 9) or message.first("TXA", 5),
        },
    }
    try:
        note = parse_request(request)
    except RequestError as error:
        # Only the text can be at fault: the id is made here, and ids were cut to fit.
        text = error.body.message.replace("'note_text'", "'OBX-5'", 1)
        raise RequestError(error.body.code, text, "OBX-5", status=error.status) from None
    patient_id, time = message.first("PID", 3), _time(message.text("TXA", 4))
    return IncomingMessage(note, header, document[0], document_type, patient_id, visit_id, time)


def _check_header(header: MessageHeader) -> None:
    if (header.message_type, header.event) != ("MDM", "T02"):
        code = "unsupported_event" if header.message_type == "MDM" else "unsupported_message"
        raise RequestError(code, "'MSH-9' must be MDM^T02", "MSH-9")
    if header.version not in VERSIONS:
        raise RequestError("unsupported_version", f"'MSH-12' must be one of {', '.join(VERSIONS)}", "MSH-12")
    if not header.control_id:
        raise RequestError("missing", "'MSH-10' is required", "MSH-10")


class _Message:
    """The segments of a message. PID, PV1 and TXA are parsed by hl7apy; OBX, which may be many and which hl7apy takes a
    millisecond for, are cut at their separators."""

    def __init__(self, header: MessageHeader, lines: Sequence[str]) -> None:
        self.separators: MappingProxyType[str, str] = header.separators
        self.codec = header.codec
        self.observations = [line for line in lines if self._name(line) == "OBX"]
        self.segments: dict[str, Segment] = {}
        for line in lines:
            name = self._name(line)
            if name == "ADD":
                raise RequestError("unsupported_segment", "continuation segments (ADD) are not read", "ADD")
            if name in {"PID", "PV1", "TXA"} and name not in self.segments:
                self.segments[name] = segment_of(line, header.separators, header.version)
        if "TXA" not in self.segments:
            raise RequestError("missing", "the segment TXA is required", "TXA")

    def _name(self, line: str) -> str:
        return line.split(self.separators["FIELD"], 1)[0]

    def decode(self, text: str) -> str:
        """Escapes decoded, printable, at most 256 characters."""
        try:
            text = unescape(text, self.separators, self.codec)
        except UnicodeError:
            text = ""
        return "".join(c for c in text if c.isprintable())[:_MAX_ID_CHARS].strip()

    def text(self, name: str, number: int) -> str:
        return field_text(self.segments.get(name), number, self.separators)

    def first(self, name: str, number: int) -> str | None:
        """The first component of the first repetition that has one, decoded."""
        fields = repetitions(self.segments.get(name), number, self.separators)
        components = (self.decode(field.split(self.separators["COMPONENT"])[0]) for field in fields)
        return next((component for component in components if component and component != '""'), None)

    def note_text(self) -> str:
        if not self.observations:
            raise RequestError("missing", "the segment OBX is required", "OBX")
        lines: list[str] = []
        found = False
        for line in self.observations:
            fields = [*line.split(self.separators["FIELD"]), *[""] * 12]
            if fields[2].strip() not in TEXT_TYPES or fields[11].strip() in {"D", "W"}:
                continue
            found = True
            lines += ("" if part == '""' else part for part in fields[5].split(self.separators["REPETITION"]))
        if not found:
            types = ", ".join(sorted(TEXT_TYPES))
            raise RequestError("unsupported_content_type", f"no OBX of type {types} holds a text", "OBX-2")
        try:
            return unescape("\n".join(lines), self.separators, self.codec)
        except UnicodeError:
            raise RequestError("bad_charset", "'OBX-5' has bytes that do not fit 'MSH-18'", "OBX-5") from None


def _note_type(document_type: str) -> NoteType:
    return NOTE_TYPES.get(document_type) or note_type_of([document_type]) or NoteType.PROGRESS_NOTE


def _time(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    try:
        iso = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone or ''}"
        return datetime.fromisoformat(iso)
    except ValueError:
        return None
