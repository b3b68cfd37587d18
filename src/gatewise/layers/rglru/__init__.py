"""Real-gated linear recurrent unit: `spec.py` holds the equations."""
