"""The tasks: from a table of readings to a trained, calibrated model. Each knows how to fit and how to score."""
