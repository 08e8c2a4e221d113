"""Escape sequences of HL7 v2 (chapter 2, "Use of escape sequences in text fields") → the text that they stand for."""

import re
from collections.abc import Mapping

_SEQUENCE = r"F|S|T|R|E|P|H|N|\.br|\.sp\+?\d{0,2}|\.sk\+?\d{1,2}|\.in[+-]?\d{1,3}|\.ti[+-]?\d{1,3}|\.fi|\.nf|\.ce"
_CHARSETS = r"C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?"
_BYTES = r"X(?:[0-9A-Fa-f]{2})+"


def unescape(text: str, separators: Mapping[str, str], codec: str) -> str:
    """Decodes ``\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\P\\``, the formatting commands of FT (``\\.br\\``, ``\\.sp3\\``,
    ``\\.ce\\`` end a line or lines, ``\\.sk4\\`` is as many spaces, the others have no text) and ``\\X0D0A\\``, bytes
    in the message's character set; several in a row are read as one run of bytes.

    ``separators`` are those of hl7apy (FIELD, COMPONENT, …, and TRUNCATION where there is one). An escape character
    that begins no such sequence stays as it is, for senders leave it unescaped in "120\\80". ``\\C…\\`` and ``\\M…\\``,
    which switch to another set of characters, become U+FFFD.

    Raises:
        UnicodeError: bytes that the character set does not have.
    """
    escape = re.escape(separators["ESCAPE"])
    pattern = f"(?P<run>(?:{escape}{_BYTES}{escape})+)|{escape}(?:(?P<one>{_SEQUENCE})|(?P<set>{_CHARSETS})){escape}"

    def decode(match: re.Match[str]) -> str:
        if match["run"]:
            digits = match["run"].replace(separators["ESCAPE"], "").replace("X", "")
            return bytes.fromhex(digits).decode(codec)
        return "�" if match["set"] else _one(match["one"], separators)

    return re.sub(pattern, decode, text)


def _one(sequence: str, separators: Mapping[str, str]) -> str:
    names = {"F": "FIELD", "S": "COMPONENT", "T": "SUBCOMPONENT", "R": "REPETITION", "E": "ESCAPE", "P": "TRUNCATION"}
    if sequence in names:
        return separators.get(names[sequence], "#")
    command, number = sequence[:3], sequence[3:].lstrip("+")
    match command:
        case ".br" | ".ce":
            return "\n"
        case ".sp":
            return "\n" * int(number or 1)
        case ".sk":
            return " " * int(number)
        case _:
            return ""


def escape(text: str, separators: Mapping[str, str]) -> str:
    """Text as a field's value may hold it: separators escaped, line ends as spaces."""
    marks = {separators["FIELD"]: "F", separators["COMPONENT"]: "S", separators["SUBCOMPONENT"]: "T"}
    marks |= {separators["REPETITION"]: "R", separators["ESCAPE"]: "E"}
    mark = separators["ESCAPE"]
    flat = " ".join(text.split())
    return "".join(f"{mark}{marks[c]}{mark}" if c in marks else c for c in flat)
