"""Mean and standard deviation of a window: `spec.py` holds the equations."""
