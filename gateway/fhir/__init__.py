"""FHIR R4: a DocumentReference in, a Bundle of what was found in it out. Pure functions on JSON; no server."""

from gateway.fhir.bundle import result_bundle
from gateway.fhir.context import DocumentContext, IncomingDocument
from gateway.fhir.document import read_document
from gateway.fhir.outcome import operation_outcome

__all__ = ["DocumentContext", "IncomingDocument", "operation_outcome", "read_document", "result_bundle"]
