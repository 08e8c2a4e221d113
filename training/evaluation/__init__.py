"""What a model is worth, for those who decide on it: figures, calibration, and one report."""
