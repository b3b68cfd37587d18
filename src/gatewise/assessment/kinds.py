"""The verdicts."""

KINDS = ("keep", "reset", "baseline", "shrink", "replace", "retrain", "recurrence", "insufficient")
"""The verdicts. Those between the first and the last are changes, in the order of what they cost."""

GAINS = ("reset", "replace", "retrain", "recurrence")
"""The changes that must be better by the least gain. The others must save as well, and not be worse by it."""
