"""Drift of words, of entity types and of the model's score, against a reference that holds counts alone."""
