"""Calibrated tail probability of a forecast residual: `spec.py` holds the equations."""
