"""Measures of a model, each one function with its formula: `gradients.gradient_by_lag`."""
