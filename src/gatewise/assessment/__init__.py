"""Assess a model: from a model and data to a verdict with evidence. `gatewise.assess` is in `assess.py`."""
