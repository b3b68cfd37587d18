"""Long short-term memory: `spec.py` holds the equations."""
