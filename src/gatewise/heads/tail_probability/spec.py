"""Calibrated tail probability of a smoothed forecast residual: how surprising is this reading?

The last layer gives, at each step, a forecast of the *next* scaled reading of the target column: its location m and the
logarithm s of its scale. When that reading z comes::

    u = (z - m) / exp(clip(s, -10, 10))        standardised residual of the forecast made one step before
    e' = e + alpha (u - e)                     smoothed, alpha = 2 / (smooth + 1)  (smooth = 1: not smoothed)
    score = S(|e'|)                            minus log10 of the probability of a residual at least this large

S is read from a table of 64 knots (statistic, score), piecewise linear, starting at (0, 0), and beyond the last knot
with the slope of the last segment. The table is measured on held-out data; scores above log10(samples) lie beyond what
that data can show, come from a fitted generalised Pareto tail (Pickands 1975), and are marked by `extrapolated`.

Outputs, in the units of the target column where they have one:

    score, expected, low, high, extrapolated

`expected` is the forecast this reading was compared with, `low` and `high` the band that held-out residuals kept to.
An alarm is a score >= -log10(false_alarms_per_1000 / 1000).

The zero state forecasts the training mean with the training deviation, so the first reading has a score as well.

Tensors: statistic (64) ascending, score (64) ascending, band (2), unit (2) = offset and scale of the target column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_number

KNOTS = 64
OUTPUTS = ("score", "expected", "low", "high", "extrapolated")
LOG_SCALE_LIMIT = 10.0


@dataclass(frozen=True)
class Spec(Layer):
    """Options of the tail-probability head.

    Attributes:
        target: column number of the reading that is forecast.
        smooth: span of the exponential smoothing of residuals, in steps; 1 = none.
        false_alarms_per_1000: alarms to expect in 1,000 steps of data like that it was calibrated on.
        df: degrees of freedom of the Student t whose likelihood trains location and scale.
        samples: calibration samples behind the table; 0 = not calibrated.
    """

    kind: ClassVar[str] = "tail_probability"
    not_structural: ClassVar[tuple[str, ...]] = ("false_alarms_per_1000", "df", "samples")
    target: int = 0
    smooth: int = 1
    false_alarms_per_1000: float = 1.0
    df: float = 5.0
    samples: int = 0

    def __post_init__(self) -> None:
        check_count("target", self.target, least=0)
        check_count("smooth", self.smooth)
        check_number("false_alarms_per_1000", self.false_alarms_per_1000, 1e-6, 999.0)
        check_number("df", self.df, 1.0, 1e6)
        check_count("samples", self.samples, 1 << 31, least=0)

    @property
    def alpha(self) -> float:
        """Weight of the newest residual in the smoothed one."""
        return 2.0 / (self.smooth + 1.0)

    @property
    def alarm_score(self) -> float:
        """The score at and above which a reading is an alarm."""
        return -math.log10(self.false_alarms_per_1000 / 1000.0)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """Five values; see `OUTPUTS`."""
        if len(inputs) != 2 or inputs[0].width != 2:
            raise SpecError(
                "tail_probability reads the scaled input and a last layer of 2 units (location, log scale), "
                f"got widths {[edge.width for edge in inputs]}; end the layers with dense of units=2"
            )
        if self.target >= inputs[1].width:
            raise SpecError(f"target is column {self.target}, but the input has {inputs[1].width} columns")
        return Edge(len(OUTPUTS))

    def output_names(self) -> tuple[str, ...]:
        """Names of the five outputs."""
        return OUTPUTS

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {"statistic": (KNOTS,), "score": (KNOTS,), "band": (2,), "unit": (2,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The forecast of the next reading, and the smoothed residual."""
        return tuple(Field(name, "float32", (1,)) for name in ("location", "log_scale", "smoothed"))

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """The table of a standard normal law: what an uncalibrated model assumes of its residuals."""
        statistic = np.linspace(0.0, 6.0 * math.sqrt(self.alpha / (2.0 - self.alpha)), KNOTS)
        deviation = math.sqrt(self.alpha / (2.0 - self.alpha))
        tail = [math.erfc(x / deviation / math.sqrt(2.0)) for x in statistic]
        return {
            "statistic": statistic.astype(np.float32),
            "score": -np.log10(tail).astype(np.float32),
            "band": np.array([-1.96, 1.96], np.float32),
            "unit": np.array([0.0, 1.0], np.float32),
        }

    def check(self, tensors: Mapping[str, Array]) -> None:
        """The table starts at (0, 0), its statistic ascends, its score does not fall; the unit's scale is positive."""
        statistic, score = tensors["statistic"], tensors["score"]
        if statistic[0] != 0 or score[0] != 0 or not (np.diff(statistic) > 0).all() or (np.diff(score) < 0).any():
            raise SpecError("the table of statistic and score must start at (0, 0) and ascend")
        if not tensors["unit"][1] > 0:
            raise SpecError(f"the scale of the target's unit must be positive, got {tensors['unit'][1]}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        forecast, z = x[0], x[1][:, self.target : self.target + 1]  # (batch, 2), (batch, 1)
        scale = np.exp(np.clip(state["log_scale"], -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))
        u = (z - state["location"]) / scale
        smoothed = state["smoothed"] + self.alpha * (u - state["smoothed"])
        score = piecewise_linear(np.abs(smoothed), tensors["statistic"], tensors["score"])
        offset, unit = tensors["unit"]
        low, high = (state["location"] + scale * q for q in tensors["band"])
        answers = [v * unit + offset for v in (state["location"], low, high)]
        limit = math.log10(max(self.samples, 1))
        y = np.concatenate([score, *answers, (score > limit).astype(score.dtype)], axis=1)
        return y, {"location": forecast[:, :1], "log_scale": forecast[:, 1:], "smoothed": smoothed}

    def native(self) -> list[float]:
        """Target column, alpha, log10 of the calibration samples."""
        return [float(self.target), self.alpha, math.log10(max(self.samples, 1))]

    def cautions(self) -> tuple[str, ...]:
        """An uncalibrated head assumes a normal law."""
        return () if self.samples else ("scores are not calibrated: they assume normal residuals",)


def piecewise_linear(x: Array, knots: Array, values: Array) -> Array:
    """Linear between ascending knots, and on with the last slope beyond the last; x is not below the first."""
    slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    return np.where(x > knots[-1], values[-1] + slope * (x - knots[-1]), np.interp(x, knots, values))
