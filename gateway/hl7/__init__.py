"""HL7 v2: an MDM^T02 in, its note out, and the acknowledgement. Pure functions on bytes; no server."""

from gateway.hl7.acknowledgement import acknowledgement, refusal
from gateway.hl7.header import MessageHeader, read_header
from gateway.hl7.mdm import IncomingMessage, read_mdm

__all__ = ["IncomingMessage", "MessageHeader", "acknowledgement", "read_header", "read_mdm", "refusal"]
