"""The verdicts."""

KINDS = ("keep", "reset", "baseline", "shrink", "replace", "retrain", "recurrence", "insufficient")
"""The verdicts. Those between the first and the last are changes, in the order of what they cost."""
