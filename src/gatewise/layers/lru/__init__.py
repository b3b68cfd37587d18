"""Linear recurrent unit with a complex state: `spec.py` holds the equations."""
