"""Identifiers of patients and those around them: found before any other stage sees the note, and masked."""

from clincode.phi.redact import find_identifiers, masked

__all__ = ["find_identifiers", "masked"]
