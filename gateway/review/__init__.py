"""What a coder decides on a note, as values and pure functions."""
