"""Minimal gated recurrent unit: `spec.py` holds the equations."""
