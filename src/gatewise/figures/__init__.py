"""Figures. There is one function for each kind of figure, which returns matplotlib Axes.

The functions take NumPy arrays and pandas frames. Each draws into `ax` or, without it, into a new figure. They write no
files: use `ax.figure.savefig("found.svg")`, or put a figure into a page with `gatewise.report.drawing`.

Backgrounds are not changed. Text and observed readings have the text colour of the current matplotlib style, and the
other colours are legible on white and on black, so that a figure can be used on a light or a dark page.
"""

from __future__ import annotations

from gatewise.errors import MissingExtraError

try:
    import matplotlib as matplotlib
    import pandas as pandas
except ImportError as error:
    raise MissingExtraError(f"figures need {error.name}: pip install 'gatewise[train]'") from error

from gatewise.figures.backtest import error_by_horizon as error_by_horizon
from gatewise.figures.comparison import against_truth as against_truth
from gatewise.figures.comparison import by_amount as by_amount
from gatewise.figures.comparison import candidates as candidates
from gatewise.figures.context import context_response as context_response
from gatewise.figures.detection import alarm_scores as alarm_scores
from gatewise.figures.detection import detection as detection
from gatewise.figures.detection import forecast_band as forecast_band
from gatewise.figures.forecast import forecast as forecast
from gatewise.figures.forecast import forecast_fan as forecast_fan
from gatewise.figures.frames import of_series as of_series
from gatewise.figures.gradients import gradient_norms as gradient_norms
from gatewise.figures.memory import score_by_lag as score_by_lag
from gatewise.figures.state import hidden_state as hidden_state
from gatewise.figures.state import slowest_first as slowest_first
from gatewise.figures.style import BESIDE as BESIDE
from gatewise.figures.style import NARROW as NARROW
from gatewise.figures.style import WIDE as WIDE
from gatewise.figures.style import Size as Size
from gatewise.figures.style import style as style
from gatewise.figures.timescales import time_constants as time_constants
from gatewise.figures.training import learning_curve as learning_curve

__all__ = [
    "BESIDE",
    "NARROW",
    "WIDE",
    "Size",
    "against_truth",
    "alarm_scores",
    "candidates",
    "context_response",
    "detection",
    "error_by_horizon",
    "forecast",
    "forecast_band",
    "forecast_fan",
    "gradient_norms",
    "hidden_state",
    "learning_curve",
    "of_series",
    "score_by_lag",
    "slowest_first",
    "style",
    "time_constants",
]
