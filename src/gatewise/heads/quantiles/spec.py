"""Quantile forecasts at several horizons at once: at each step, how large will these columns be, h steps on?

The last layer gives K * H * Q numbers a(k, h, q), for K target columns, H horizons and Q quantiles, q running fastest.
z is the scaled reading of this step, [m, s] the moments of its window where the head reads a `moments` edge::

    o(k, h, .) = sort(a(k, h, .))                        ascending, so that quantiles never cross
    p(k, h, q) = base_k + sigma_k * o(k, h, q)           forecast, in scaled units
    v(k, h, q) = p(k, h, q) * scale_k + offset_k         forecast, of the column as it was transformed
    y(k, h, q) = max(minimum_k, min(maximum_k, v))       forecast, in the units of the column

    base_k  = z_k with anchor, else m_k, or 0 without moments
    sigma_k = s_k, or 1 without moments

Where the input stage reads log(1 + x) in place of x (transform "log1p"), expm1(min(v, 88)) stands for v in the last
line; 88 is the largest whole number of which that is a float32. Both keep the order, so a quantile of one is a quantile
of the other. A bound that is None is none.

Sorting is rearrangement (Chernozhukov, Fernandez-Val & Galichon 2010, "Quantile and Probability Curves Without
Crossing"), which never adds to the loss. An anchored head forecasts changes: where a = 0 it repeats the last reading.
All horizons come from one step, none from the forecast of another ("direct": Wen et al. 2017, arXiv 1711.11053).

It is trained by the pinball loss, whose least expectation is at the true quantile (Koenker & Bassett 1978)::

    loss(p, z) = 1/Q sum_q max(tau_q (z - p_q), (tau_q - 1) (z - p_q))

in scaled units and without the bounds, beyond which there would be no gradient.

Reads the last layer (K H Q), the scaled input (W columns) and, optionally, moments (2 V with V <= W). No state.
Tensors: offset (K), scale (K) > 0, in the units of the target columns (transformed, where they are).
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
"""A bound of this size is none."""

MOST_EXPONENT = 88.0
"""Beyond it expm1 is no float32."""

MOST_BOUNDED = 1000
"""Targets of a head that has bounds or transforms."""

MOST_HORIZON = 1 << 16
MOST_OUTPUTS = 1 << 16


def level_name(level: float) -> str:
    """What a quantile is called wherever it has a name: its shortest decimal, so that no two share one, e.g. "0.5"."""
    return repr(float(level))


@dataclass(frozen=True)
class Spec(Head):
    """Options of the quantiles head.

    Attributes:
        targets: K positions of the columns that are forecast.
        horizons: H numbers of steps ahead, ascending, from 1.
        quantiles: Q probabilities between 0 and 1, ascending.
        anchor: whether forecasts are changes from the present reading.
        names: names of the target columns, K; None = "x0", "x1", ... by their position.
        minimum: K numbers below which no forecast goes, None for a target without; None = none at all.
        maximum: K numbers above which none goes, in the same way.
        transform: K times "log1p" or None: how the input stage transforms the columns; None = none at all.
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
            raise SpecError(
                f"{len(targets)} targets are more than {MOST_BOUNDED} with a bound or transform; take fewer"
            )
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
    def bounds(self) -> tuple[Array, Array]:
        """The least and the largest forecast of each target, (K,) float32 each, none of them beyond what was asked."""
        found = []
        for given, none, inward in ((self.minimum, -LARGEST, np.inf), (self.maximum, LARGEST, -np.inf)):
            wide = np.array([none if bound is None else bound for bound in given or [None] * len(self.targets)])
            narrow = wide.astype(np.float32)
            outside = narrow < wide if inward > 0 else narrow > wide
            found.append(np.where(outside, np.nextafter(narrow, np.float32(inward)), narrow))
        return found[0], found[1]

    @property
    def logs(self) -> Array:
        """Which targets are transformed: (K,) bool."""
        return np.array([one is not None for one in self.transform or [None] * len(self.targets)])

    @property
    def guided(self) -> bool:
        """Whether a target has a bound or a transform."""
        return not self.minimum is self.maximum is self.transform is None

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
        if len(inputs) == 2:
            advice = "let the head read the moments of the window, sources=('dense0', 'input', 'moments0')"
            check_units(self.kind, self.targets, inputs[0], advice)
        self._check_transform(inputs[1])
        return Edge(self.width)

    def _check_transform(self, scaled: Edge) -> None:
        """Refuse to undo what was not done, and the reverse."""
        for k, target in enumerate(self.targets):
            read = None if scaled.transform is None else scaled.transform[target]
            own = None if self.transform is None else self.transform[k]
            if read != own:
                raise SpecError(
                    f"column {target} comes with transform {read!r}, but target {k} is to be answered with {own!r}; "
                    "give the head for each target the transform of its column in the input stage"
                )

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
        if self.guided:
            low, high = (bound.astype(np.float64)[:, None, None] for bound in self.bounds)
            y = np.where(self.logs[:, None, None], np.expm1(np.minimum(y, MOST_EXPONENT)), y)
            y = np.maximum(low, np.minimum(high, y))
        return y.reshape(batch, self.width), {}

    def numbers(self) -> dict[str, float | list[float]]:
        """Q, anchor, then the target columns; with bounds or transforms also least, largest and log1p of each."""
        known: dict[str, float | list[float]] = {
            "quantiles": float(len(self.quantiles)),
            "anchor": float(self.anchor),
            "targets": [float(target) for target in self.targets],
        }
        if not self.guided:
            return known
        each = zip(*self.bounds, self.logs, strict=True)
        return {**known, "guides": [float(value) for target in each for value in target]}


def _bounds(name: str, given: Any, count: int) -> tuple[float | None, ...] | None:
    """Bounds of the targets as a tuple; None where there is none. Raises SpecError."""
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
