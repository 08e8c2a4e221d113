"""The answer to a message: ACK^T02 in original mode (HL7 v2, chapter 2), in the message's version, separators and
character set. It quotes nothing of the message but its header."""

from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message

from clincode.errors import ClincodeError
from gateway.hl7.escapes import escape
from gateway.hl7.header import VERSIONS, MessageHeader
from gateway.hl7.mdm import IncomingMessage

AckCode = Literal["AA", "AE", "AR"]

DEFAULT_VERSION = "2.5.1"
CONDITIONS = {
    # HL7 table 0357, message error condition codes.
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "203": "Unsupported version id",
    "205": "Duplicate key identifier",
    "207": "Application internal error",
}
_CONDITION_OF = {
    "missing": "101",
    "string_too_short": "101",
    "blank_text": "101",
    "string_too_long": "104",
    "body_too_large": "104",
    "unsupported_charset": "103",
    "unsupported_message": "200",
    "unsupported_event": "201",
    "unsupported_version": "203",
}


def acknowledgement(
    message: IncomingMessage | MessageHeader | None,
    *,
    code: AckCode,
    now: datetime,
    text: str | None = None,
    location: str | None = None,
    condition: str = "207",
) -> bytes:
    """An ACK without MLLP's frame. ``message`` is None where not even the header could be read.

    Where ``code`` is not AA an ERR segment follows MSA: ``location`` ("OBX-5", "TXA"), ``condition`` of table 0357 and,
    from v2.5 on, severity and ``text``; before v2.7 the text stands in MSA-3 too. ``now`` (aware) is the time of MSH-7.
    """
    header = message.header if isinstance(message, IncomingMessage) else message
    known = header is not None and header.version in VERSIONS
    version = header.version if header and known else DEFAULT_VERSION
    # hl7apy 1.3.5 writes ERR of v2.8 one field too far to the left (it forgets the withdrawn ERR-1); v2.7 is the same.
    structure = min(version, "2.7")
    separators = dict(header.separators) if header else None
    ack = Message("ACK", version=structure, validation_level=VALIDATION_LEVEL.TOLERANT, encoding_chars=separators)
    separators = ack.encoding_chars
    join = separators["COMPONENT"].join

    stamp = now.strftime("%Y%m%d%H%M%S%z")
    control_id = header.control_id if header else ""
    event = [header.event] if header and header.event.isalnum() else []
    structure_name = ["ACK"] if event and version >= "2.3.1" else []
    msh = ack.msh
    if header:
        _set(msh, 3, header.receiving_application)
        _set(msh, 4, header.receiving_facility)
        _set(msh, 5, header.sending_application)
        _set(msh, 6, header.sending_facility)
        _set(msh, 18, header.character_set)
    _set(msh, 7, stamp)
    _set(msh, 9, join(["ACK", *event, *structure_name]))
    _set(msh, 10, uuid5(NAMESPACE_URL, f"{control_id}/{now.isoformat()}/{code}").hex[:20])
    _set(msh, 11, (header.processing_id if header else "") or "P")
    _set(msh, 12, version)
    msa = ack.add_segment("MSA")
    _set(msa, 1, code)
    _set(msa, 2, control_id)
    said = escape(text, separators) if text else ""
    if version < "2.7":
        _set(msa, 3, said)
    if code != "AA":
        err = ack.add_segment("ERR")
        place = _place(location)
        meaning = [condition, CONDITIONS.get(condition, ""), "HL70357"]
        if version < "2.5":
            _set(err, 1, join([*[*place, "", "", ""][:3], separators["SUBCOMPONENT"].join(meaning)]))
        else:
            _set(err, 2, join(place))
            _set(err, 3, join(meaning))
            _set(err, 4, "E")
            _set(err, 8, said)
    er7: str = ack.to_er7()
    return f"{er7.rstrip(chr(13))}\r".encode(header.codec if header else "utf-8", "replace")


def refusal(message: IncomingMessage | MessageHeader | None, error: ClincodeError, *, now: datetime) -> bytes:
    """The acknowledgement of an error: AR where the message as such is not taken (its header, or the service cannot
    take any now: 429, 5xx), so that it may be sent again or elsewhere; AE where its content is at fault."""
    body = error.body
    rejected = message is None or error.status == 429 or error.status >= 500 or (body.field or "").startswith("MSH")
    return acknowledgement(
        message,
        code="AR" if rejected else "AE",
        now=now,
        text=body.message,
        location=body.field,
        condition=_condition(error),
    )


def _condition(error: ClincodeError) -> str:
    if error.status == 409:
        return "205"
    return _CONDITION_OF.get(error.body.code, "102" if error.status < 500 and error.status != 429 else "207")


def _set(segment: object, number: int, value: str) -> None:
    if value:
        setattr(segment, f"{getattr(segment, 'name').lower()}_{number}", value)  # noqa: B009


def _place(location: str | None) -> list[str]:
    """ "OBX-5" → OBX, 1, 5: segment, its sequence, field."""
    name, _, number = (location or "").partition("-")
    if len(name) != 3 or not name.isalnum():
        return []
    return [name, "1", number] if number.isdigit() else [name, "1"]
