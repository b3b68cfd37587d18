"""Joins edges into one: `spec.py` holds the equation."""
