"""The tasks: from a table of readings to a trained, calibrated model. Each knows how to fit and how to score."""

RECURRENCE = "gru"
"""The default kind of the recurrent layers. The command line reads it from here, without importing torch."""
