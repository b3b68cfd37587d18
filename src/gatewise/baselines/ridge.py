"""Ridge: linear regression on the rows of a window, with a penalty on the weights (Hoerl and Kennard 1970).

With the rows of a window as one vector x, its targets y, their means over the training windows, and n windows::

    W = (S_xx + a I)^-1 S_xy        S_xx = mean (x - x_mean)(x - x_mean)^T,  S_xy = mean (x - x_mean)(y - y_mean)^T
    answer = y_mean + W^T (x - x_mean)

Columns are standardised first. With `anchor` the last value of a column is subtracted from the column and from its
targets, so that the regression sees changes and not levels. This is NLinear (Zeng et al. 2023, "Are transformers
effective for time series forecasting?") with a penalty and in closed form, and needs one pass over the windows.

The windows enter only through sums over them (moments), so that any number of windows can be used. For the
cross-validation there are moments for each of its parts: the errors of a part follow from its moments as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gatewise.baselines.method import Method, checked_columns, chunks, folds
from gatewise.errors import InputError, MissingExtraError
from gatewise.layers.base import Array

try:
    from scipy.linalg import cho_factor, cho_solve
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("baselines need SciPy: pip install 'gatewise[train]'") from error

MOST = 1500
"""Greatest number of values of a window that an output reads by default."""

PENALTIES = tuple(10.0**e for e in range(-6, 5))
"""The penalties a among which cross-validation chooses, relative to the variance of a column."""

FIRST = PENALTIES.index(0.1)
"""The penalty with which the search begins, and which is used if there are too few windows for cross-validation."""

PROBED = 16
"""Greatest number of outputs of a column on which the penalty is chosen."""


@dataclass(eq=False)
class Ridge(Method):
    """Ridge regression on the window.

    If there is an anchor, cross-validation also chooses between two forms: each output reads all columns; or it reads
    its own column only, with the same weights for all columns. The second needs the outputs ordered by column, with
    as many for each.

    Args:
        anchor: for each output the position of its own column in the window, of which it is a future value; None = the
            targets are no columns of the window.
        penalty: a; None = the one of `PENALTIES` with the least error in cross-validation, which is searched from 0.1
            in both directions as long as the error falls.
        most: greatest number of values of a window that an output reads; of larger windows these are in the last rows.
            The time of the fit grows with its third power.

    Attributes:
        penalty_: the penalty used.
        form_: "all columns" or "own column".
        error_: the mean squared error in cross-validation, with targets in standard units; NaN if there was none.
    """

    anchor: Sequence[int] | None = None
    penalty: float | None = None
    most: int = MOST

    name = "ridge"
    label = "a ridge regression on the window"

    def _fit(self, windows: Array, targets: Array, groups: Array | None) -> None:
        if self.penalty is not None and not self.penalty >= 0:
            raise InputError(f"penalty must be 0 or larger, or None, got {self.penalty!r}")
        anchor = None
        if self.anchor is not None:
            anchor = checked_columns(self.anchor, self.outputs_, self.shape_[1], "anchor")
        parts = folds(len(windows), groups)
        found = []
        for form in _forms(windows, targets, anchor, self.most):
            moments = _moments(form, windows, targets, parts)
            penalty, error = _choose(moments, form.probe, self.penalty)
            found.append((error, penalty, form, sum(moments[1:], moments[0])))
            moments.clear()
        self.error_, self.penalty_, self._form, total = min(found, key=lambda each: each[0])
        self.form_ = self._form.name
        self.weight_ = total.solve(self.penalty_)
        self.mean_x_, self.mean_y_ = total.x / total.count, total.y / total.count

    def _predict(self, windows: Array) -> Array:
        x = self._form.features(windows)
        return self._form.answers(windows, self.mean_y_ + (x - self.mean_x_) @ self.weight_)

    @property
    def parameters(self) -> int:
        """The weights, and a constant for each output."""
        return int(self.weight_.size + self.mean_y_.size)


class _Form(Protocol):
    """Which values of a window one answer reads. A window can be several rows of the regression."""

    @property
    def name(self) -> str:
        """The name of the form."""

    @property
    def width(self) -> int:
        """Values that are read for one row of the regression."""

    @property
    def outputs(self) -> int:
        """Targets of one row of the regression."""

    @property
    def each(self) -> int:
        """Rows of the regression for each window."""

    @property
    def probe(self) -> Array:
        """The outputs on which the penalty is chosen."""

    def features(self, windows: Array) -> Array:
        """(n, L, columns) -> (n * each, width), in standard units."""

    def targets(self, windows: Array, targets: Array) -> Array:
        """(n, k) -> (n * each, outputs), in standard units."""

    def answers(self, windows: Array, found: Array) -> Array:
        """(n * each, outputs) in standard units -> (n, k) in the units of the targets."""


@dataclass(frozen=True)
class _AllColumns:
    """Each output reads the last `rows` rows of all columns.

    Attributes:
        level: (columns,) subtracted from columns without an anchor; NaN for those with one, which lose their last.
        scale: (columns,) by which columns are divided.
        rows: rows read.
        anchor: (k,) or None.
        unit: (k,) by which targets are divided.
        probe: the outputs on which the penalty is chosen.
    """

    level: Array
    scale: Array
    rows: int
    anchor: Array | None
    unit: Array
    probe: Array
    each: int = 1
    name: str = "all columns"

    @property
    def width(self) -> int:
        return self.rows * len(self.scale)

    @property
    def outputs(self) -> int:
        return len(self.unit)

    def features(self, windows: Array) -> Array:
        level = np.where(np.isnan(self.level), windows[:, -1:], self.level)
        return ((windows[:, -self.rows :] - level) / self.scale).reshape(len(windows), -1)

    def targets(self, windows: Array, targets: Array) -> Array:
        return (targets - self._last(windows)) / self.unit

    def answers(self, windows: Array, found: Array) -> Array:
        return self._last(windows) + found * self.unit

    def _last(self, windows: Array) -> Array | float:
        return 0.0 if self.anchor is None else windows[:, -1, self.anchor]


@dataclass(frozen=True)
class _OwnColumn:
    """Each output reads the last `rows` rows of its own column, with the same weights for all columns.

    Attributes:
        columns: (K,) the columns that are targets; outputs are ordered by column.
        scale: (K,) by which they are divided.
        rows: rows read.
        outputs: outputs of each column.
        probe: the outputs on which the penalty is chosen.
    """

    columns: Array
    scale: Array
    rows: int
    outputs: int
    probe: Array
    name: str = "own column"

    @property
    def width(self) -> int:
        return self.rows

    @property
    def each(self) -> int:
        return len(self.columns)

    def features(self, windows: Array) -> Array:
        own = windows[:, -self.rows :, self.columns]
        return ((own - own[:, -1:]) / self.scale).transpose(0, 2, 1).reshape(-1, self.rows)

    def targets(self, windows: Array, targets: Array) -> Array:
        by_column = targets.reshape(len(targets), self.each, self.outputs)
        changes = by_column - windows[:, -1, self.columns, None]
        return (changes / self.scale[:, None]).reshape(-1, self.outputs)

    def answers(self, windows: Array, found: Array) -> Array:
        changes = found.reshape(len(windows), self.each, self.outputs) * self.scale[:, None]
        return np.asarray((windows[:, -1, self.columns, None] + changes).reshape(len(windows), -1))


def _forms(windows: Array, targets: Array, anchor: Array | None, most: int = MOST) -> list[_Form]:
    """The forms that are possible."""
    _, length, width = windows.shape
    k = targets.shape[1]
    level, scale = _units(windows)
    rows = max(1, min(length, most // width))
    if anchor is None:
        unit = _positive(targets.astype(np.float64).std(axis=0))
        return [_AllColumns(level, scale, rows, None, unit, _spread(k, 4 * PROBED))]
    columns = np.array(list(dict.fromkeys(anchor.tolist())))
    outputs, rest = divmod(k, len(columns))
    ordered = not rest and np.array_equal(anchor, np.repeat(columns, outputs))
    some = _spread(outputs, PROBED) if ordered else _spread(k, 4 * PROBED)
    probe = (np.arange(len(columns))[:, None] * outputs + some).ravel() if ordered else some
    level[columns] = np.nan
    every = _AllColumns(level, scale, rows, anchor, scale[anchor], probe)
    own = _OwnColumn(columns, scale[columns], min(length, most), outputs, some)
    if not ordered:
        return [every]
    return [own] if width == 1 else [own, every]


def _units(windows: Array) -> tuple[Array, Array]:
    """The mean and standard deviation of each column over all rows of all windows: (columns,) each."""
    first = windows[0, -1].astype(np.float64)  # subtracted, so that a large level costs no digits
    total, squares = np.zeros(len(first)), np.zeros(len(first))
    for part in chunks(windows):
        chunk = windows[part] - first
        total += chunk.sum((0, 1))
        squares += (chunk**2).sum((0, 1))
    number = windows.shape[0] * windows.shape[1]
    mean = total / number
    return first + mean, _positive(np.sqrt(np.maximum(squares / number - mean**2, 0.0)))


@dataclass
class _Moments:
    """Sums over some rows of the regression: their number, x, y, x x^T, x y^T and y^2."""

    count: int
    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array

    def __add__(self, other: _Moments) -> _Moments:
        return self._with(other, 1)

    def __sub__(self, other: _Moments) -> _Moments:
        return self._with(other, -1)

    def _with(self, other: _Moments, sign: int) -> _Moments:
        pairs = [(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__]
        return _Moments(*(a + sign * b for a, b in pairs))

    def outputs(self, which: Array) -> _Moments:
        """Those of some outputs."""
        return _Moments(self.count, self.x, self.y[which], self.xx, self.xy[:, which], self.yy[which])

    def centred(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Mean products of differences from x and y: (p, p), (p, q) and (q,)."""
        n, mean_x, mean_y = self.count, self.x / self.count, self.y / self.count
        xx = self.xx / n - np.outer(mean_x, x) - np.outer(x, mean_x) + np.outer(x, x)
        xy = self.xy / n - np.outer(mean_x, y) - np.outer(x, mean_y) + np.outer(x, y)
        return xx, xy, self.yy / n - 2 * y * mean_y + y * y

    def solve(self, penalty: float) -> Array:
        """W: (p, q)."""
        xx, xy, _ = self.centred(self.x / self.count, self.y / self.count)
        # Without a penalty, rows that repeat each other leave the weights undetermined: a trace of one decides.
        xx[np.diag_indices_from(xx)] += max(penalty, 1e-12 * len(xx) * max(1.0, float(xx.diagonal().max())))
        return np.asarray(cho_solve(cho_factor(xx, lower=True, overwrite_a=True), xy))

    def error(self, fitted: _Moments, penalty: float) -> Array:
        """The mean squared error on these rows of a regression fitted to others: (q,)."""
        weight = fitted.solve(penalty)
        xx, xy, yy = self.centred(fitted.x / fitted.count, fitted.y / fitted.count)
        return np.asarray(yy - 2 * (weight * xy).sum(axis=0) + (weight * (xx @ weight)).sum(axis=0))


def _moments(form: _Form, windows: Array, targets: Array, parts: Array | None) -> list[_Moments]:
    """The moments of each part of the cross-validation; of all windows if there are no parts."""
    p, q = form.width, form.outputs
    number = 1 if parts is None else int(parts.max()) + 1
    found = [
        _Moments(0, np.zeros(p), np.zeros(q), np.zeros((p, p)), np.zeros((p, q)), np.zeros(q)) for _ in range(number)
    ]
    for part in chunks(windows, form.each * (p + q) + windows.shape[1] * windows.shape[2]):
        wide = windows[part].astype(np.float64)
        x, y = form.features(wide), form.targets(wide, targets[part].astype(np.float64))
        which = np.zeros(len(wide), np.int64) if parts is None else parts[part]
        which = np.repeat(which, form.each)
        for i in np.unique(which):
            a, b = x[which == i], y[which == i]
            now = _Moments(len(a), a.sum(0), b.sum(0), a.T @ a, a.T @ b, (b * b).sum(0))
            found[i] += now
    return found


def _choose(parts: list[_Moments], probe: Array, given: float | None) -> tuple[float, float]:
    """The penalty and its mean squared error in cross-validation; NaN if there was none."""
    if len(parts) < 2:
        return PENALTIES[FIRST] if given is None else given, np.nan
    some = [part.outputs(probe) for part in parts]
    total = sum(some[1:], some[0])
    errors: dict[float, float] = {}

    def error(penalty: float) -> float:
        if penalty not in errors:
            sums = [part.count * part.error(total - part, penalty).mean() for part in some]
            errors[penalty] = float(np.sum(sums)) / total.count
        return errors[penalty]

    if given is not None:
        return given, error(given)
    i = FIRST
    for step in (1, -1):
        while 0 <= i + step < len(PENALTIES) and error(PENALTIES[i + step]) < error(PENALTIES[i]):
            i += step
    return PENALTIES[i], error(PENALTIES[i])


def _spread(count: int, most: int) -> Array:
    """At most this many of the first `count` whole numbers, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _positive(scale: Array) -> Array:
    """Scales of which 0, that of a constant, is replaced by 1."""
    return np.where(scale > 0, scale, 1.0)
