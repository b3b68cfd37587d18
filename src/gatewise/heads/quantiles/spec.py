"""Quantile forecasts at several horizons at once: at each step, how large will these columns be, h steps on?

The last layer gives K * H * Q numbers a(k, h, q), for K target columns, H horizons and Q quantiles, q running fastest.
z is the scaled reading of this step, [m, s] the moments of its window where the head reads a `moments` edge::

    o(k, h, .) = sort(a(k, h, .))                        ascending, so that quantiles never cross
    p(k, h, q) = base_k + sigma_k * o(k, h, q)           forecast, in scaled units
    y(k, h, q) = p(k, h, q) * scale_k + offset_k         forecast, in the units of the column

    base_k  = z_k with anchor, else m_k, or 0 without moments
    sigma_k = s_k, or 1 without moments

Sorting is rearrangement (Chernozhukov, Fernandez-Val & Galichon 2010, "Quantile and Probability Curves Without
Crossing"), which never adds to the loss. An anchored head forecasts changes: where a = 0 it repeats the last reading.
All horizons come from one step, none from the forecast of another ("direct": Wen et al. 2017, arXiv 1711.11053).

It is trained by the pinball loss, whose least expectation is at the true quantile (Koenker & Bassett 1978)::

    loss(p, z) = 1/Q sum_q max(tau_q (z - p_q), (tau_q - 1) (z - p_q))

Reads the last layer (K H Q), the scaled input (W columns) and, optionally, moments (2 V with V <= W). No state.
Tensors: offset (K), scale (K) > 0, in the units of the target columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Layer, check_count, check_flag, check_list, check_targets

MOST_HORIZON = 1 << 16
MOST_OUTPUTS = 1 << 16


def level_name(level: float) -> str:
    """What a quantile is called wherever it has a name: its shortest decimal, so that no two share one, e.g. "0.5"."""
    return repr(float(level))


@dataclass(frozen=True)
class Spec(Layer):
    """Options of the quantiles head.

    Attributes:
        targets: K positions of the columns that are forecast.
        horizons: H numbers of steps ahead, ascending, from 1.
        quantiles: Q probabilities between 0 and 1, ascending.
        anchor: whether forecasts are changes from the present reading.
        names: names of the target columns, K; None = "x0", "x1", ... by their position.
    """

    kind: ClassVar[str] = "quantiles"
    not_structural: ClassVar[tuple[str, ...]] = ("quantiles", "names")
    targets: Any = (0,)
    horizons: Any = (1,)
    quantiles: Any = (0.1, 0.5, 0.9)
    anchor: bool = True
    names: Any = None

    def __post_init__(self) -> None:
        targets, names = check_targets(self.targets, self.names)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "names", names)
        for name in ("horizons", "quantiles"):
            object.__setattr__(self, name, check_list(name, getattr(self, name)))
        for horizon in self.horizons:
            check_count("a horizon", horizon, MOST_HORIZON)
        for level in self.quantiles:
            if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0.0 < level < 1.0:
                raise SpecError(f"a quantile must be a number between 0 and 1, got {level!r}")
        for name in ("horizons", "quantiles"):
            values = getattr(self, name)
            if not all(a < b for a, b in pairwise(values)):
                raise SpecError(f"{name} must ascend, got {list(values)}")
        check_flag("anchor", self.anchor)
        if self.width > MOST_OUTPUTS:
            raise SpecError(
                f"{len(self.targets)} targets, {len(self.horizons)} horizons and {len(self.quantiles)} quantiles make "
                f"{self.width} outputs, more than {MOST_OUTPUTS}; take fewer horizons"
            )

    @property
    def width(self) -> int:
        """Units of the last layer: K H Q."""
        return len(self.targets) * len(self.horizons) * len(self.quantiles)

    @property
    def target_names(self) -> tuple[str, ...]:
        """What the targets are called."""
        return tuple(self.names) if self.names is not None else tuple(f"x{target}" for target in self.targets)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each target, horizon and quantile."""
        widths = [edge.width for edge in inputs]
        if len(inputs) not in (2, 3) or widths[0] != self.width:
            raise SpecError(
                f"quantiles reads a last layer of {self.width} units (targets * horizons * quantiles), the scaled "
                f"input, and the moments of a window where there are any, got widths {widths}"
            )
        columns = inputs[1].columns  # indicators of missing readings, after them, are no targets
        if len(inputs) == 3:
            if widths[2] % 2 or widths[2] > 2 * columns:
                raise SpecError(f"moments are two values for each column of {columns}, got {widths[2]}")
            columns = widths[2] // 2
        if max(self.targets) >= columns:
            what = "the input has" if len(inputs) == 2 else "there are moments of"
            raise SpecError(f"a target is column {max(self.targets)}, but {what} {columns} columns")
        return Edge(self.width)

    def output_names(self) -> tuple[str, ...]:
        """E.g. "OT+24:0.5": the column, the steps ahead, the quantile."""
        return tuple(
            f"{name}+{horizon}:{level_name(level)}"
            for name in self.target_names
            for horizon in self.horizons
            for level in self.quantiles
        )

    def levels(self) -> tuple[int, ...]:
        """All are levels of their target."""
        each = len(self.horizons) * len(self.quantiles)
        return tuple(target for target in self.targets for _ in range(each))

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {"offset": (len(self.targets),), "scale": (len(self.targets),)}

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Scaled units; a task puts in those of the data."""
        return {
            "offset": np.zeros(len(self.targets), np.float32),
            "scale": np.ones(len(self.targets), np.float32),
        }

    def check(self, tensors: Mapping[str, Array]) -> None:
        """A scale is positive."""
        if not (tensors["scale"] > 0).all():
            k = int(np.argmin(tensors["scale"] > 0))
            raise SpecError(f"scale of target {k} must be positive, got {tensors['scale'][k]}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        batch, targets = len(x[0]), list(self.targets)
        ordered = np.sort(x[0].reshape(batch, len(targets), len(self.horizons), len(self.quantiles)), axis=-1)
        base, sigma = np.zeros((batch, len(targets))), np.ones((batch, len(targets)))
        if len(x) == 3:
            base, sigma = (part[:, targets] for part in np.split(x[2], 2, axis=1))
        if self.anchor:
            base = x[1][:, targets]
        forecast = base[:, :, None, None] + sigma[:, :, None, None] * ordered
        y = forecast * tensors["scale"][:, None, None] + tensors["offset"][:, None, None]
        return y.reshape(batch, self.width), {}

    def native(self) -> list[float]:
        """Q, anchor, then the target columns."""
        return [float(len(self.quantiles)), float(self.anchor), *map(float, self.targets)]
