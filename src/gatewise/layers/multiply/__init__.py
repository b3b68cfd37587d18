"""Product of edges: `spec.py` holds the equation."""
