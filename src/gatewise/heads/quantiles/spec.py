"""Quantile forecasts at several horizons: at each step, forecast the target columns h steps ahead.

The last layer gives K * H * Q numbers a(k, h, q), for K target columns, H horizons and Q quantiles, q running fastest.
z is the scaled reading of this step; if the head reads a `moments` edge, [m, s] are the moments of the window::

    o(k, h, .) = sort(a(k, h, .))                        ascending, so that quantiles never cross
    p(k, h, q) = base_k + sigma_k * o(k, h, q)           forecast, in scaled units
    v(k, h, q) = p(k, h, q) * scale_k + offset_k         forecast, of the column as it was transformed
    y(k, h, q) = max(minimum_k, min(maximum_k, v))       forecast, in the units of the column

    base_k  = z_k with anchor, else m_k, or 0 without moments
    sigma_k = s_k, or 1 without moments

If the input stage replaces x by log(1 + x) (transform "log1p"), v in the last line is replaced by expm1(min(v, 88)); 88
is the largest whole number whose expm1 is a float32. As expm1 is increasing, quantiles stay quantiles. A bound of None
means that there is no bound.

Sorting the quantiles is known as rearrangement (Chernozhukov, Fernandez-Val & Galichon 2010, "Quantile and Probability
Curves Without Crossing") and never increases the loss. A head with anchor forecasts changes: if a = 0, the forecast is
the last reading. Each horizon is forecast directly, not from the forecast of a shorter horizon (Wen et al. 2017, arXiv
1711.11053).

The head is trained with the pinball loss, whose expected value is least at the true quantile (Koenker & Bassett 1978)::

    loss(p, z) = 1/Q sum_q max(tau_q (z - p_q), (tau_q - 1) (z - p_q))

It is computed in scaled units and without the bounds, because a bounded forecast would have no gradient.

Reads the last layer (K H Q), the scaled input (W columns) and, optionally, moments (2 V with V <= W). No state.

Tensors: offset (K), scale (K) > 0, in the units of the target columns after the transform.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.heads.base import Head, check_targets, check_units
from gatewise.layers.base import Array, Edge, check_count, check_flag, check_list, check_transform

LARGEST = float(np.finfo(np.float32).max)
"""Stands for "no bound" in the native core."""

MOST_EXPONENT = 88.0
"""Greatest argument for which expm1 is a float32."""

MOST_BOUNDED = 1000
"""Greatest number of targets of a head that has bounds or transforms."""

MOST_HORIZON = 1 << 16
MOST_OUTPUTS = 1 << 16


def level_name(level: float) -> str:
    """The name of a quantile: its shortest exact decimal, e.g. "0.5", so that different quantiles differ in name."""
    return repr(float(level))


@dataclass(frozen=True)
class Spec(Head):
    """Options of the quantiles head.

    Attributes:
        targets: K positions of the columns that are forecast.
        horizons: H numbers of steps ahead, ascending, from 1.
        quantiles: Q probabilities between 0 and 1, ascending.
        anchor: whether the last layer forecasts the change from the present reading.
        names: names of the target columns, K; None = "x0", "x1", ... by their position.
        minimum: K lower bounds of the forecasts, None for a target without one; None = no target has one.
        maximum: K upper bounds, likewise.
        transform: K entries, "log1p" or None: the transform of the columns by the input stage; None = no column has
            one.
    """

    kind: ClassVar[str] = "quantiles"
    not_structural: ClassVar[tuple[str, ...]] = ("quantiles", "names", "minimum", "maximum")
    targets: Any = (0,)
    horizons: Any = (1,)
    quantiles: Any = (0.1, 0.5, 0.9)
    anchor: bool = True
    names: Any = None
    minimum: Any = None
    maximum: Any = None
    transform: Any = None

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
        for name in ("minimum", "maximum"):
            object.__setattr__(self, name, _bounds(name, getattr(self, name), len(targets)))
        object.__setattr__(self, "transform", check_transform(self.transform, len(targets), "target"))
        low, high = self.bounds
        if (low >= high).any():
            k = int(np.argmax(low >= high))
            raise SpecError(f"minimum of target {k} must lie below its maximum, got {low[k]:g} and {high[k]:g}")
        if self.guided and len(targets) > MOST_BOUNDED:
            raise SpecError(f"{len(targets)} targets are more than {MOST_BOUNDED} with a bound or transform; use fewer")
        if self.width > MOST_OUTPUTS:
            raise SpecError(
                f"{len(self.targets)} targets, {len(self.horizons)} horizons and {len(self.quantiles)} quantiles make "
                f"{self.width} outputs, more than {MOST_OUTPUTS}; use fewer horizons"
            )

    @property
    def width(self) -> int:
        """Units of the last layer: K H Q."""
        return len(self.targets) * len(self.horizons) * len(self.quantiles)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Least and greatest forecast of each target, (K,) float32 each, rounded towards the inside of the bounds."""
        found = []
        for given, none, inward in ((self.minimum, -LARGEST, np.inf), (self.maximum, LARGEST, -np.inf)):
            wide = np.array([none if bound is None else bound for bound in given or [None] * len(self.targets)])
            narrow = wide.astype(np.float32)
            outside = narrow < wide if inward > 0 else narrow > wide
            found.append(np.where(outside, np.nextafter(narrow, np.float32(inward)), narrow))
        return found[0], found[1]

    @property
    def logs(self) -> Array:
        """Which targets have the transform "log1p": (K,) bool."""
        return np.array([one is not None for one in self.transform or [None] * len(self.targets)])

    @property
    def guided(self) -> bool:
        """Whether a target has a bound or a transform."""
        return not self.minimum is self.maximum is self.transform is None

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(self.names) if self.names is not None else tuple(f"x{target}" for target in self.targets)

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each target, horizon and quantile."""
        widths = [edge.width for edge in inputs]
        if len(inputs) not in (2, 3) or widths[0] != self.width:
            raise SpecError(
                f"quantiles reads a last layer of {self.width} units (targets * horizons * quantiles), the scaled "
                f"input, and optionally the moments of a window, got widths {widths}"
            )
        columns = inputs[1].columns  # without the indicators of missing readings that follow them
        if len(inputs) == 3:
            if widths[2] % 2 or widths[2] > 2 * columns:
                raise SpecError(f"moments are two values for each column of {columns}, got {widths[2]}")
            columns = widths[2] // 2
        if max(self.targets) >= columns:
            what = "the input has" if len(inputs) == 2 else "there are moments of"
            raise SpecError(f"a target is column {max(self.targets)}, but {what} {columns} columns")
        if len(inputs) == 2:
            advice = "let the head read the moments of the window, sources=('dense0', 'input', 'moments0')"
            check_units(self.kind, self.targets, inputs[0], advice)
        self._check_transform(inputs[1])
        return Edge(self.width)

    def _check_transform(self, scaled: Edge) -> None:
        """Raise SpecError unless each target has the transform of its column in the input stage."""
        for k, target in enumerate(self.targets):
            read = None if scaled.transform is None else scaled.transform[target]
            own = None if self.transform is None else self.transform[k]
            if read != own:
                raise SpecError(
                    f"the input stage gives column {target} the transform {read!r}, but the head gives target {k} "
                    f"{own!r}; pass the head for each target the transform of its column"
                )

    def output_names(self) -> tuple[str, ...]:
        """Names such as "OT+24:0.5": the column, the steps ahead and the quantile."""
        return tuple(
            f"{name}+{horizon}:{level_name(level)}"
            for name in self.target_names
            for horizon in self.horizons
            for level in self.quantiles
        )

    def levels(self) -> tuple[int, ...]:
        """All outputs are levels of their target."""
        each = len(self.horizons) * len(self.quantiles)
        return tuple(target for target in self.targets for _ in range(each))

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        return {"offset": (len(self.targets),), "scale": (len(self.targets),)}

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Offset 0 and scale 1; a task replaces them by the units of the data."""
        return {
            "offset": np.zeros(len(self.targets), np.float32),
            "scale": np.ones(len(self.targets), np.float32),
        }

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError unless scales are positive."""
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
        if self.guided:
            low, high = (bound.astype(np.float64)[:, None, None] for bound in self.bounds)
            y = np.where(self.logs[:, None, None], np.expm1(np.minimum(y, MOST_EXPONENT)), y)
            y = np.maximum(low, np.minimum(high, y))
        return y.reshape(batch, self.width), {}

    def native(self) -> list[float]:
        """Q, anchor, the target columns; with bounds or transforms also the two bounds and log1p of each target."""
        known = [float(len(self.quantiles)), float(self.anchor), *map(float, self.targets)]
        if not self.guided:
            return known
        each = zip(*self.bounds, self.logs, strict=True)
        return [*known, *(float(value) for target in each for value in target)]


def _bounds(name: str, given: Any, count: int) -> tuple[float | None, ...] | None:
    """Bounds of the targets as a tuple; None if no target has one. Raises SpecError."""
    if given is None:
        return None
    each = check_list(name, given)
    if len(each) != count:
        raise SpecError(f"{name} must be {count} numbers, one for each target, null for none, got {list(each)}")
    for bound in each:
        number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if bound is not None and not (number and abs(bound) < LARGEST):
            raise SpecError(f"a {name} must be a number within float32 (3.4e38), or null for none, got {bound!r}")
    found = tuple(None if bound is None else float(bound) for bound in each)
    return None if found == (None,) * count else found
