"""Numeric input stage: `spec.py` holds the equations."""
