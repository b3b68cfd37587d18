"""The tasks: from a table of readings to a trained, calibrated model. Each knows how to fit and how to score."""

RECURRENCE = "gru"
"""Kind of the recurrent layers where a task is told no other. The command line reads it here without importing torch."""
