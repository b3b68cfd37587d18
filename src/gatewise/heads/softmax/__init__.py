"""The probabilities of classes: `spec.py` holds the equations."""
