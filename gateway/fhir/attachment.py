"""The text of a document's attachment: inline base64 of plain text, its character set, size and hash."""

import base64
import binascii
import codecs
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clincode.errors import RequestError
from gateway.fhir.validation import join_path

_CHARSETS = {
    "utf-8": "utf-8-sig",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_ALIASES = {
    "utf8": "utf-8",
    "ascii": "us-ascii",
    "latin-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "cp1252": "windows-1252",
}


@dataclass(frozen=True, slots=True)
class AttachedText:
    """``text`` of ``content[index]``, without a byte order mark; ``path`` names its ``attachment.data``."""

    text: str
    index: int
    path: str


def read_attachment(contents: Sequence[Any], prefix: str) -> AttachedText:
    """The first attachment that can be read, of the ``content`` of a DocumentReference (as JSON, already validated).

    ``text/plain`` with ``data`` can be read, in UTF-8 where no charset is named, in UTF-16, ISO 8859-1, Windows-1252 or
    US-ASCII. UTF-16 without a byte order mark is big-endian (RFC 2781).

    Raises:
        RequestError: 422. Where none can be read, what is wrong with the first of them; where the first that could be
            is damaged (base64, charset, ``size``, ``hash``), that.
    """
    refusal: RequestError | None = None
    for index, content in enumerate(contents):
        attachment = content.get("attachment") if isinstance(content, Mapping) else None
        path = join_path(prefix, f"content[{index}].attachment")
        if not isinstance(attachment, Mapping):
            raise RequestError("invalid_value", f"'{path}' must be an object", path)
        try:
            charset = _charset(attachment, path)
        except RequestError as error:
            refusal = refusal or error
            continue
        return AttachedText(_decode(attachment, charset, path), index, f"{path}.data")
    path = join_path(prefix, "content")
    raise refusal or RequestError("missing", f"'{path}' is required", path)


def _charset(attachment: Mapping[str, Any], path: str) -> str:
    """The Python codec of an attachment that can be read."""
    content_type = attachment.get("contentType")
    field = f"{path}.contentType"
    if not isinstance(content_type, str):
        raise RequestError("missing", f"'{field}' is required", field)
    media_type, *parameters = content_type.split(";")
    if media_type.strip().lower() != "text/plain":
        raise RequestError("unsupported_content_type", f"'{field}' must be text/plain", field)
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    codec = _CHARSETS.get(_ALIASES.get(charset, charset))
    if codec is None:
        known = ", ".join(_CHARSETS)
        raise RequestError("unsupported_charset", f"the charset of '{field}' must be one of {known}", field)
    if "data" not in attachment:
        field = f"{path}.data"
        detail = "must hold the text; a url is not fetched" if "url" in attachment else "is required"
        raise RequestError("missing", f"'{field}' {detail}", field)
    return codec


def _decode(attachment: Mapping[str, Any], codec: str, path: str) -> str:
    field = f"{path}.data"
    content = _base64(attachment["data"])
    if content is None:
        raise RequestError("invalid_base64", f"'{field}' is not base64", field)
    _check_integrity(attachment, content, path)
    if codec == "utf-16":
        codec = "utf-16" if content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-16-be"
    try:
        return content.decode(codec)
    except UnicodeError:
        raise RequestError("bad_charset", f"'{field}' does not fit the charset of contentType", field) from None


def _check_integrity(attachment: Mapping[str, Any], content: bytes, path: str) -> None:
    size = attachment.get("size")
    if size is not None and str(size) != str(len(content)):
        field = f"{path}.size"
        raise RequestError("size_mismatch", f"'{field}' is not the number of bytes of data", field)
    given = attachment.get("hash")
    if given is not None:
        digest = _base64(given)
        if digest is None or not hmac.compare_digest(digest, hashlib.sha1(content, usedforsecurity=False).digest()):
            field = f"{path}.hash"
            raise RequestError("hash_mismatch", f"'{field}' is not the SHA-1 of data in base64", field)


def _base64(value: Any) -> bytes | None:
    """R4's base64Binary may hold white space; anything else beyond its alphabet is refused."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
