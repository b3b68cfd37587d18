"""A sequence from its end to its beginning: `spec.py` holds the equation."""
