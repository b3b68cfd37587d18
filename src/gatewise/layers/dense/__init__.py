"""Fully connected layer: `spec.py` holds the equations."""
