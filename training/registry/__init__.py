"""Versions of models in an artifact store, and what their training was tracked with."""
