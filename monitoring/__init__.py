"""Watches over a deployment: whether the notes and the answers are still those that the model was made for."""
