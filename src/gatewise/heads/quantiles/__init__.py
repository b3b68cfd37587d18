"""Quantile forecasts at several horizons: `spec.py` holds the equations."""
