"""Gated recurrent unit: `spec.py` holds the equations."""
