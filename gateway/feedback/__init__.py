"""Reviewed notes → training examples, samples and scores."""
