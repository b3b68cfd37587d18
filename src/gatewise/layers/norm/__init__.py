"""Normalisation of each step: `spec.py` holds the equations."""
