"""Readings in the units of their window: `spec.py` holds the equation."""
