"""clincode: clinical named entities, their context and ICD-10-CM codes from a physician's note."""

__version__ = "0.1.0"
