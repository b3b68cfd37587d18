"""The tasks, which turn a table of readings into a trained and calibrated model, with the interface of scikit-learn."""

RECURRENCE = "gru"
"""The default kind of the recurrent layers. The command line reads it from here, without importing torch."""
