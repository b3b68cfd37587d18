"""Minimal long short-term memory: `spec.py` holds the equations."""
