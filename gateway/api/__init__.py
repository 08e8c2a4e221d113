"""The HTTP interface for programs, under ``/api/v1``."""
