"""Compare models on the same data and budget: examples, losses, challengers, and the interval of a gain.

`gatewise.assessment` asks whether a model that stands should be replaced. It builds on this package, which knows
nothing of verdicts.
"""

from gatewise.comparison.bootstrap import Gain, gain, holm
from gatewise.comparison.examples import Examples, examples
from gatewise.comparison.metrics import Metric, metric_of

__all__ = ["Examples", "Gain", "Metric", "examples", "gain", "holm", "metric_of"]
