"""Calibrated tail probability of smoothed forecast residuals, the score by which a detector finds anomalies.

The last layer gives, at each step, a forecast of the *next* scaled reading of K target columns: the locations m of all,
then the logarithms s of their scales. With the next readings z, for each target k::

    u = (z - m) / exp(clip(s, -10, 10))        standardised residual of the forecast made one step before
    e' = e + alpha (u - e)                     smoothed, alpha = 2 / (smooth + 1)  (smooth = 1: not smoothed)
    score_k = S_k(|e'|)                        minus log10 of the probability of a residual at least this large
    score = score_1                            of one target
    score = J(max_k score_k)                   of several: minus log10 of the probability of a maximum this large

S_k and J are piecewise linear functions, given by tables of 64 knots. They start at (0, 0) and continue beyond the last
knot with the slope of the last segment. They are measured on calibration rows, which are not used for training; J is
measured on the maximum itself, so targets may depend on each other. Scores above log10(samples) are beyond the range of
these rows. They come from a fitted generalised Pareto tail (Pickands 1975) and are marked by `extrapolated`. With
`masked`, u = 0 for a missing reading.

Outputs, in the units of the target columns where they have one:

    score, expected, low, high, extrapolated                                  of one target
    score, then score_k, expected, low, high of each target, extrapolated     of several

`expected` is the forecast with which this reading was compared; `low` and `high` are the band that contains the stated
share of the calibration residuals. An alarm is a score >= A = -log10(false_alarms_per_1000 / 1000).

The zero state forecasts the training mean with the training deviation, so the first reading has a score as well.

Two kinds of sequential tests check whether the readings are still like the calibration rows. Their evidence is part of
the state. When it reaches 1, the test reports drift and its evidence no longer changes. One kind of test counts the
alarms of each target and, if there are several targets, those of all together. The other kind tests the level of each
of the W columns::

    rate(r, i)'  = (rate(r, i) + c) f_i(score_r >= A)                    i = 1, 2: ten and fifty times the stated rate;
                                                                         unchanged in the `pause` rows after an alarm
    level(w, j)' = level(w, j) + beta_j (clip(z_w) - level(w, j))        beta_j = 2 / (span_j + 1), spans of 16 and 128
    left(w, j)'  = (left(w, j) + c') g_wj(level(w, j)' outside range(w, j))

Each is a Shiryaev-Roberts statistic (Shiryaev 1963; Roberts 1966) of likelihood ratios f and g, an e-detector (Shin,
Ramdas & Rinaldo 2024). As long as alarms come at no more than twice the stated rate, the first wrong report of any test
is expected after 10^7 rows or more, because c and c' are 1 / 10^7 times the share of each test. Neighbouring rows may
depend on each other: g is raised to the power of one over the number of dependent rows (by Hoelder's inequality), and
alarms that closely follow another one count once. The likelihood ratio of an alarm is q/p and that of no alarm
(1 - q)/(1 - p), where p is twice the stated rate and q is ten or fifty times it, but at most halfway from p to 1. With
`masked`, a missing reading does not change the level of its column.

Tensors: statistic (K, 64) and score (K, 64), ascending; band (K, 2); unit (K, 2), the offset and scale of each target.
For the levels: clip (W, 2), low and high; range (W, 4), low and high of the short and of the long span; factor (W, 4),
outside and inside the range, of the short and of the long span. With several targets also joint_statistic (64), the
maximum of scores, and joint_score (64).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.heads.base import Drift, Head, Level, check_targets, check_units
from gatewise.layers.base import Array, Edge, Field, check_count, check_flag, check_mask, check_number

KNOTS = 64
LOG_SCALE_LIMIT = 10.0
MOST_TARGETS = 1 << 12
SPANS = (16, 128)
"""Spans, in steps, of the smoothed levels."""

TOLERATED, SOUGHT = 2.0, (10.0, 50.0)
"""Rates of alarms in multiples of the stated rate: the greatest tolerated one, and those that are tested against it."""

ROWS_PER_ERROR = 1e7
"""Average number of rows before any of the tests wrongly reports drift. Three quarters of the error probability are
assigned to the tests of rates, one quarter to those of levels."""

UNBOUNDED = 1e30


@dataclass(frozen=True)
class Spec(Head):
    """Options of the tail-probability head.

    Attributes:
        targets: K positions of the columns that are forecast.
        names: names of the target columns, K; None = "x0", "x1", ... by their position.
        masked: whether the input stage marks missing readings (numeric with missing "mask"). Their residual is then 0.
        smooth: span of the exponential smoothing of residuals, in steps; 1 = no smoothing.
        false_alarms_per_1000: expected number of alarms in 1,000 steps of data like the calibration rows.
        df: degrees of freedom of the Student t distribution whose likelihood trains location and scale.
        samples: number of calibration rows from which the tables were made; 0 = not calibrated, and rates are not
            tested.
        pause: number of rows after an alarm that the test of the rate skips, because large residuals often follow each
            other.
    """

    kind: ClassVar[str] = "tail_probability"
    not_structural: ClassVar[tuple[str, ...]] = ("names", "false_alarms_per_1000", "df", "samples", "pause")
    targets: Any = (0,)
    names: Any = None
    masked: bool = False
    smooth: int = 1
    false_alarms_per_1000: float = 1.0
    df: float = 5.0
    samples: int = 0
    pause: int = 0

    def __post_init__(self) -> None:
        targets, names = check_targets(self.targets, self.names)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "names", names)
        if len(targets) > MOST_TARGETS:
            raise SpecError(f"{len(targets)} targets are more than {MOST_TARGETS}; use fewer")
        check_flag("masked", self.masked)
        check_count("smooth", self.smooth)
        for name, low, high in (("false_alarms_per_1000", 1e-6, 999.0), ("df", 1.0, 1e6)):
            object.__setattr__(self, name, check_number(name, getattr(self, name), low, high))
        check_count("samples", self.samples, 1 << 31, least=0)
        check_count("pause", self.pause, least=0)

    @property
    def alpha(self) -> float:
        """Weight of the newest residual in the smoothed one."""
        return 2.0 / (self.smooth + 1.0)

    @property
    def alarm_score(self) -> float:
        """The score from which a reading is an alarm."""
        return -math.log10(self.false_alarms_per_1000 / 1000.0)

    @property
    def rates(self) -> int:
        """Number of rates that are tested: one for each target and, with several targets, one for all together."""
        return len(self.targets) + (len(self.targets) > 1)

    @property
    def rate_test(self) -> tuple[float, tuple[float, ...]]:
        """c, and the likelihood ratios of an alarm and of no alarm for both tested rates; see the head of this file."""
        p = TOLERATED * self.false_alarms_per_1000 / 1000.0
        if not self.samples or p >= 1.0:
            return 0.0, (0.0,) * 4
        factors = []
        for multiple in SOUGHT:
            q = min(multiple * self.false_alarms_per_1000 / 1000.0, 0.5 * (1.0 + p))
            factors += [q / p, (1.0 - q) / (1.0 - p)]
        return 1.0 / (ROWS_PER_ERROR / 0.75 * self.rates * len(SOUGHT)), tuple(factors)

    @property
    def width(self) -> int:
        """Number of units of the last layer: a location and a log scale for each target."""
        return 2 * len(self.targets)

    @property
    def each(self) -> int:
        """Number of outputs for each target, which include its own score if there are several targets."""
        return 3 if len(self.targets) == 1 else 4

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """See `output_names`."""
        if len(inputs) != 2 or inputs[0].width != self.width:
            raise SpecError(
                f"tail_probability reads the scaled input and a last layer of {self.width} units (locations and log "
                f"scales), got widths {[edge.width for edge in inputs]}; end the layers with dense of "
                f"units={self.width}"
            )
        if max(self.targets) >= inputs[1].columns:
            raise SpecError(f"a target is column {max(self.targets)}, but the input has {inputs[1].columns} columns")
        check_mask(self.kind, self.masked, inputs[1])
        check_units(self.kind, self.targets, inputs[0], "leave standardise out")
        if inputs[1].transform is not None and any(inputs[1].transform[target] for target in self.targets):
            raise SpecError(f"{self.kind} does not support targets with a transform; remove the transform")
        return Edge(2 + self.each * len(self.targets))

    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs; with several targets "NAME:score" and so on."""
        if len(self.targets) == 1:
            return "score", "expected", "low", "high", "extrapolated"
        names = self.names or [f"x{target}" for target in self.targets]
        own = [f"{name}:{value}" for name in names for value in ("score", "expected", "low", "high")]
        return "score", *own, "extrapolated"

    def levels(self) -> tuple[int | None, ...]:
        """The outputs expected, low and high are levels of their target."""
        own = tuple(column for target in self.targets for column in (None, target, target, target))
        return (*own, None) if len(self.targets) == 1 else (None, *own, None)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        K, W, spans = len(self.targets), inputs[1].columns, len(SPANS)
        own: dict[str, tuple[int, ...]] = {
            "statistic": (K, KNOTS),
            "score": (K, KNOTS),
            "band": (K, 2),
            "unit": (K, 2),
            "clip": (W, 2),
            "range": (W, 2 * spans),
            "factor": (W, 2 * spans),
        }
        return own if K == 1 else {**own, "joint_statistic": (KNOTS,), "joint_score": (KNOTS,)}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The forecasts of the next readings, the smoothed residuals and levels, and the evidence of the tests."""
        levels = (inputs[1].columns, len(SPANS))
        return (
            *(Field(name, "float32", (len(self.targets),)) for name in ("location", "log_scale", "smoothed")),
            Field("level", "float32", levels),
            Field("pause", "float32", (self.rates,)),
            Field("rate_evidence", "float32", (self.rates, len(SOUGHT)), evidence=True),
            Field("level_evidence", "float32", levels, evidence=True),
        )

    def drifts(self, tensors: Mapping[str, Array], state: Mapping[str, Array]) -> tuple[Drift, ...]:
        """See `Head.drifts`. For the rate of all targets together, the column is the target with the most evidence."""
        rates, levels = state["rate_evidence"].max(axis=-1), state["level_evidence"].max(axis=-1)
        K, stated = len(self.targets), self.false_alarms_per_1000
        columns = [*self.targets, *(self.targets[int(np.argmax(rates[:K]))] for _ in rates[K:])]
        decided = {column: float(most) for column, most in zip(columns, rates, strict=True) if most >= 1}
        found = [Drift("rate", column, most, stated) for column, most in decided.items()]
        for w in np.flatnonzero(levels >= 1).tolist():
            j = int(np.argmax(state["level_evidence"][w]))
            low, high = tensors["range"][w, 2 * j : 2 * j + 2].tolist()
            level = Level(SPANS[j], float(state["level"][w, j]), low, high)
            found.append(Drift("level", w, float(levels[w]), level=level))
        return tuple(sorted(found, key=lambda drift: -drift.evidence))

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Tables for independent standard normal residuals, and no tests, as the head is not calibrated yet."""
        K, W = len(self.targets), inputs[1].columns
        deviation = math.sqrt(self.alpha / (2.0 - self.alpha))
        statistic = np.linspace(0.0, 6.0 * deviation, KNOTS)
        score = -np.log10([math.erfc(x / deviation / math.sqrt(2.0)) for x in statistic])
        found = {
            "statistic": np.tile(statistic, (K, 1)),
            "score": np.tile(score, (K, 1)),
            "band": np.tile([-1.96, 1.96], (K, 1)),
            "unit": np.tile([0.0, 1.0], (K, 1)),
            "clip": np.tile([-UNBOUNDED, UNBOUNDED], (W, 1)),
            "range": np.tile([-UNBOUNDED, UNBOUNDED], (W, len(SPANS))),
            "factor": np.zeros((W, 2 * len(SPANS))),
        }
        if K > 1:  # 1 - (1 - p)^K for the smallest of K probabilities p
            found["joint_statistic"] = np.linspace(0.0, 10.0, KNOTS)
            chance = -np.expm1(K * np.log1p(-(10.0 ** -found["joint_statistic"][1:])))
            found["joint_score"] = np.r_[0.0, -np.log10(chance)]
        return {name: value.astype(np.float32) for name, value in found.items()}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError unless each table starts at (0, 0) and ascends, and scales are positive."""
        tables = [*zip(tensors["statistic"], tensors["score"], strict=True)]
        if len(self.targets) > 1:
            tables.append((tensors["joint_statistic"], tensors["joint_score"]))
        for statistic, score in tables:
            if statistic[0] != 0 or score[0] != 0 or not (np.diff(statistic) > 0).all() or (np.diff(score) < 0).any():
                raise SpecError("the table of statistic and score must start at (0, 0) and ascend")
        scales = tensors["unit"][:, 1]
        for name in ("clip", "range"):
            if not (tensors[name][:, 0::2] < tensors[name][:, 1::2]).all():
                raise SpecError(f"each {name} must have a low end below its high end")
        if not (tensors["factor"] >= 0).all():
            raise SpecError("the factors of the tests of levels must not be negative")
        if not (scales > 0).all():
            raise SpecError(f"the scale of a target's unit must be positive, got {scales[np.argmin(scales > 0)]}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        K, columns = len(self.targets), list(self.targets)
        z, location = x[1][:, columns], state["location"]  # (batch, K) each
        scale = np.exp(np.clip(state["log_scale"], -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))
        u = (z - location) / scale
        if self.masked:
            u = np.where(x[1][:, x[1].shape[1] // 2 :][:, columns] != 0, 0.0, u)
        smoothed = state["smoothed"] + self.alpha * (u - state["smoothed"])
        tables = zip(np.abs(smoothed).T, tensors["statistic"], tensors["score"], strict=True)
        scores = np.stack([piecewise_linear(*table) for table in tables], axis=1)  # (batch, K)
        score = scores.max(axis=1, keepdims=True)
        if K > 1:
            score = piecewise_linear(score, tensors["joint_statistic"], tensors["joint_score"])
        band, (offset, unit) = tensors["band"], tensors["unit"].T
        own = [v * unit + offset for v in (location, location + scale * band[:, 0], location + scale * band[:, 1])]
        if K > 1:
            own.insert(0, scores)
        beyond = score > math.log10(max(self.samples, 1))
        y = np.concatenate([score, np.stack(own, axis=2).reshape(len(z), -1), beyond], axis=1, dtype=np.float64)
        alarms = (np.concatenate([scores, score] if K > 1 else [scores], axis=1) >= self.alarm_score)[:, :, None]
        start, factors = self.rate_test
        ratio = np.where(alarms, factors[0::2], factors[1::2])  # (batch, rates, 2)
        live = state["pause"] <= 0
        rate = np.where(live[:, :, None], _tested(state["rate_evidence"], start, ratio), state["rate_evidence"])
        pause = np.where(live, self.pause * alarms[:, :, 0], state["pause"] - 1.0)
        after = {"location": x[0][:, :K], "log_scale": x[0][:, K:], "smoothed": smoothed}
        level, left = self._levels(tensors, state, x[1])
        return y, {**after, "level": level, "pause": pause, "rate_evidence": rate, "level_evidence": left}

    def _levels(self, tensors: Mapping[str, Array], state: Mapping[str, Array], z: Array) -> tuple[Array, Array]:
        """The smoothed levels of the columns, and the evidence that they have left their ranges: (batch, W, 2) each."""
        before, columns = state["level"], len(tensors["clip"])  # (batch, W, spans)
        level = np.clip(z[:, :columns], *tensors["clip"].T)[:, :, None]
        level = before + 2.0 / (np.array(SPANS) + 1.0) * (level - before)
        outside = (level < tensors["range"][:, 0::2]) | (level > tensors["range"][:, 1::2])
        ratio = np.where(outside, tensors["factor"][:, 0::2], tensors["factor"][:, 1::2])
        evidence = _tested(state["level_evidence"], level_start(columns), ratio)
        if self.masked:
            missing = z[:, columns:, None] != 0
            level = np.where(missing, before, level)
            evidence = np.where(missing, state["level_evidence"], evidence)
        return level, evidence

    def numbers(self) -> dict[str, float | list[float]]:
        """Those of the score, those of the tests of rates (see the head of this file), then the target columns."""
        start, factors = self.rate_test
        names = "factor_alarm_1", "factor_calm_1", "factor_alarm_2", "factor_calm_2"
        return {
            "alpha": self.alpha,
            "limit": math.log10(max(self.samples, 1)),
            "masked": float(self.masked),
            "alarm_score": self.alarm_score,
            "pause": float(self.pause),
            "rate_start": start,
            **dict(zip(names, factors, strict=True)),
            "targets": [float(target) for target in self.targets],
        }

    def warnings(self) -> tuple[str, ...]:
        """A head that is not calibrated assumes normal residuals."""
        return () if self.samples else ("scores are not calibrated: they assume normal residuals",)


def level_start(columns: int) -> float:
    """c' of the tests of levels, for this number of columns."""
    return 1.0 / (ROWS_PER_ERROR / 0.25 * columns * len(SPANS))


def _tested(evidence: Array, start: float, ratio: Array) -> Array:
    """The evidence after one more row; unchanged if it has reached 1."""
    return np.asarray(np.where(evidence >= 1.0, evidence, (np.maximum(evidence, 0.0) + start) * ratio))


def piecewise_linear(x: Array, knots: Array, values: Array) -> Array:
    """Interpolate linearly between ascending knots; continue the last segment beyond them. x is at least the first."""
    slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    return np.where(x > knots[-1], values[-1] + slope * (x - knots[-1]), np.interp(x, knots, values))
