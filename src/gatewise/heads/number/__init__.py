"""One number in the units of a target, with an interval: `spec.py` holds the equations."""
