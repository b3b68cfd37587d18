"""Plain recurrent layer: `spec.py` holds the equation."""
