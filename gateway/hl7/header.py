"""The frame of an HL7 v2 message: MLLP, character set, separators, MSH."""

from dataclasses import dataclass
from types import MappingProxyType

from hl7apy import SUPPORTED_LIBRARIES
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Segment
from hl7apy.parser import parse_segment

from clincode.errors import RequestError
from clincode.request import MAX_BODY_BYTES

MAX_SEGMENT_CHARS = 4096
"""hl7apy makes an object of each component, so the time that a segment takes is bound to its length."""

VERSIONS = tuple(sorted({*(version for version in SUPPORTED_LIBRARIES if version >= "2.3"), "2.7.1"}))

_CODECS = {
    "": "utf-8",
    "ASCII": "utf-8",
    "UNICODE UTF-8": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
_BLANK = MappingProxyType(
    {
        "GROUP": "\r",
        "SEGMENT": "\r",
        "FIELD": "|",
        "COMPONENT": "^",
        "SUBCOMPONENT": "&",
        "REPETITION": "~",
        "ESCAPE": "\\",
    }
)


@dataclass(frozen=True, slots=True)
class MessageHeader:
    """What an answer to a message needs to know. Fields hold the text between separators, escapes not decoded;
    ``event`` is MSH-9.2, ``codec`` the Python codec of MSH-18 and ``separators`` those of hl7apy."""

    control_id: str
    message_type: str
    event: str
    version: str
    processing_id: str
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    character_set: str
    codec: str
    separators: MappingProxyType[str, str]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A header and the lines of the segments after MSH, in order."""

    header: MessageHeader
    lines: tuple[str, ...]


def read_header(payload: bytes) -> MessageHeader:
    """The header alone, so that a message that is refused can be acknowledged by its control id.

    Raises:
        RequestError: 400 where there is none.
    """
    return open_message(payload).header


def open_message(payload: bytes) -> Envelope:
    """Takes the MLLP frame off, decodes and parses MSH.

    MSH-18 may name ASCII (the default; read as UTF-8, which holds it), UNICODE UTF-8 or a part of ISO 8859; of several
    the first counts. Segments end with CR; LF and CR LF are tolerated.

    Raises:
        RequestError: 400 where it is no HL7 v2 message (MSH), 413 where it is over 1 MiB, 422 where the character set
            is another or the bytes do not fit it (MSH-18).
    """
    if len(payload) > MAX_BODY_BYTES:
        raise RequestError("body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes", status=413)
    payload = payload.lstrip(b"\x0b\r\n").rstrip(b"\x1c\r\n")
    if b"\r" not in payload:
        payload = payload.replace(b"\n", b"\r")
    first, *_ = payload.split(b"\r", 1)
    separators = _separators(first.decode("latin-1"))
    fields = first.decode("latin-1").strip("\n").split(separators["FIELD"])
    character_set = fields[17].split(separators["REPETITION"])[0].strip() if len(fields) > 17 else ""
    codec = _CODECS.get(character_set.upper())
    if codec is None:
        raise RequestError("unsupported_charset", "'MSH-18' is not a character set that is read here", "MSH-18")
    try:
        text = payload.decode(codec)
    except UnicodeError:
        raise RequestError("bad_charset", "the message does not fit the character set of 'MSH-18'", "MSH-18") from None
    first_line, *lines = [line.strip("\n") for line in text.split("\r")]
    header = _header(segment_of(first_line, separators, "2.5"), separators, character_set, codec)
    return Envelope(header, tuple(line for line in lines if line.strip()))


def segment_of(line: str, separators: MappingProxyType[str, str], version: str) -> Segment:
    """hl7apy's segment of a line of at most 4,096 characters.

    Raises:
        RequestError: 413 where it is longer, 400 where it cannot be parsed; both name the segment.
    """
    name = line[:3]
    if len(line) > MAX_SEGMENT_CHARS:
        raise RequestError("segment_too_large", f"the segment {name} is too long", name, status=413)
    version = "2.7" if version == "2.7.1" else version  # hl7apy does not have it
    try:
        return parse_segment(line, version, dict(separators), VALIDATION_LEVEL.TOLERANT)
    except Exception:  # hl7apy lets AttributeError, KeyError and others through beside its own
        raise RequestError("invalid_hl7", f"the segment {name} cannot be parsed", name, status=400) from None


def repetitions(segment: Segment | None, number: int, separators: MappingProxyType[str, str]) -> list[str]:
    """The repetitions of a field as they stand; none where there is no such segment or field."""
    if segment is None:
        return []
    name = f"{segment.name}_{number}"
    return [field.to_er7(dict(separators)).strip() for field in segment.children if field.name == name]


def field_text(segment: Segment | None, number: int, separators: MappingProxyType[str, str]) -> str:
    """The first repetition of a field that is not empty, as it stands; "" where there is none."""
    return next(filter(None, repetitions(segment, number, separators)), "")


def _separators(first: str) -> MappingProxyType[str, str]:
    marks = first[3:8]
    if not first.startswith("MSH") or len(set(marks)) != 5 or any(c.isalnum() or c.isspace() for c in marks):
        raise RequestError(
            "invalid_hl7", "the body is not an HL7 v2 message: no MSH with separators", "MSH", status=400
        )
    names = ("FIELD", "COMPONENT", "REPETITION", "ESCAPE", "SUBCOMPONENT")
    separators = dict(_BLANK) | dict(zip(names, marks, strict=True))
    following = first[8:9]
    if following and following != marks[0]:
        separators["TRUNCATION"] = following
    return MappingProxyType(separators)


def _header(msh: Segment, separators: MappingProxyType[str, str], character_set: str, codec: str) -> MessageHeader:
    def text(number: int) -> str:
        return field_text(msh, number, separators)

    kind = [*text(9).split(separators["COMPONENT"]), ""]
    return MessageHeader(
        control_id=text(10),
        message_type=kind[0],
        event=kind[1],
        version=text(12).split(separators["COMPONENT"])[0],
        processing_id=text(11),
        sending_application=text(3),
        sending_facility=text(4),
        receiving_application=text(5),
        receiving_facility=text(6),
        character_set=character_set,
        codec=codec,
        separators=separators,
    )
