"""Regressor: predict a number that is not among the readings, at each row or for each sequence, with an interval.

The model reads the rows in order of time, and at each row answers in the units of the target (the head `number`, where
the equations are). The interval around each answer comes from the errors on the held-out part, by split conformal
prediction; `gatewise.tasks.conformal` has the formula.

What the interval promises: if the series to come are like those of the fit, in the sense that their order could be
exchanged, then an answer drawn at random from a new series lies in the interval with a probability of at least
`coverage`, on the average over fits. It does not promise that for each series, for each part of a series, or after the
data have changed. If the last rows of few series are held out, their errors count as independent, which they are not,
and there is no such promise. The held-out part also decides which weights are kept, which makes the interval a little
too narrow if the part is small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError, Parameter, Text
from gatewise.heads.number.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec
from gatewise.tables.robust import location_scale
from gatewise.tables.table import Table
from gatewise.tasks.answer_rivals import Question, number
from gatewise.tasks.answers import check_varies, name_of, numbers, telling
from gatewise.tasks.conformal import margin, needed
from gatewise.tasks.fitted import head_of
from gatewise.tasks.fitting import Fitted, Fitting
from gatewise.tasks.parameters import as_json
from gatewise.tasks.supervised import Supervised, answers_in

try:
    from sklearn import metrics
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Regressor(Supervised):
    """Predicts a number at each row of a series, or for each sequence, such as a remaining useful life.

    `predict` returns a frame with the columns `prediction`, `low` and `high`, in the units of the target; without a
    held-out part only `prediction`.

    Args:
        coverage: probability with which the interval from low to high should contain the answer.
        loss: "squared" to predict the mean, "absolute" to predict the median, which outliers affect less.

    All other parameters are those of `gatewise.tasks.supervised.Supervised` and of every `Task`.

    Attributes:
        margin_: half of the width of the interval, in the units of the target; None without an interval.
    """

    coverage: float = 0.9
    loss: str = "squared"

    kind = "regressor"

    def score(self, data: Any, y: Any = None) -> dict[str, float]:
        """Compare predictions with known answers.

        Args:
            data: as for `predict`, with the target column unless y is given.
            y: the answers, as for `fit`.

        Returns:
            `mae`, `rmse` and `r2`, the coefficient of determination, by scikit-learn over all answers; and `coverage`,
            the share of answers within the interval, if there is one.

        Raises:
            InputError: the data do not fit, or there are no answers.
        """
        known, answers, where = self._scored(data, y)
        wanted = numbers(known, where)
        found = answers.astype(np.float64)
        scores = {
            "mae": float(metrics.mean_absolute_error(wanted, found[:, 0])),
            "rmse": float(metrics.root_mean_squared_error(wanted, found[:, 0])),
            "r2": float(metrics.r2_score(wanted, found[:, 0])) if len(wanted) > 1 else float("nan"),
        }
        if found.shape[1] > 1:
            scores["coverage"] = float(((found[:, 1] <= wanted) & (wanted <= found[:, 2])).mean())
        return scores

    def _check(self) -> None:
        super()._check()
        coverage = as_json(self.coverage)
        if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0.0 < coverage < 1.0:
            raise InputError(Parameter("coverage"), f" must be a share between 0 and 1, got {coverage!r}")

    def _check_answers(self, table: Table) -> None:
        values = _wanted(table)
        check_varies(values[np.isfinite(values)], name_of(answers_in(table)), "the data")

    def _doubtful(self, fitting: Fitting) -> list[str]:
        return telling(fitting, _wanted(fitting.table), classes=False)

    def _head(self, table: Table) -> LayerSpec:
        return LayerSpec(Head.kind, interval=bool(self.validation), loss=self.loss)

    def _tensors(self, model: Model, fitting: Fitting) -> Mapping[str, Array]:
        trained = _wanted(fitting.table)[fitting.parts.training]
        trained = trained[np.isfinite(trained)]
        check_varies(trained, name_of(answers_in(fitting.table)), "the training part")
        offset, scale = location_scale(trained)
        units = {"head.offset": np.array([offset], np.float32), "head.scale": np.array([scale], np.float32)}
        return {**super()._tensors(model, fitting), **units}

    def _encoded(self, table: Table, model: Model) -> Array:
        offset, scale = (float(model.tensors[f"head.{name}"][0]) for name in ("offset", "scale"))
        return ((_wanted(table) - offset) / scale).astype(np.float32)

    def _question(self, table: Table) -> Question:
        return number(_wanted(table), name_of(answers_in(table)), self.loss)

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        """Measure the margin of the interval on the held-out part."""
        if not head_of(model, Head).interval:
            return Fitted(model)
        table, parts = fitting.table, fitting.parts
        wanted, groups = _wanted(table), []
        for start, first, stop, _ in parts.spans:
            rows = first + np.flatnonzero(np.isfinite(wanted[first:stop]))
            if len(rows):
                values = np.asarray(model.run(table.values[start:stop]))[rows - start, 0]
                groups.append(np.abs(wanted[rows] - values))
        if parts.share is not None:  # rows of few series: each is a unit of its own
            groups = [error[None] for error in np.concatenate(groups)]
        coverage = float(as_json(self.coverage))
        found, reached = margin(groups, coverage)
        warnings: list[str] = []
        if reached < coverage:
            what = "series" if parts.share is None else "rows"
            few = f"the {len(groups)} held-out {what} are too few for an interval of probability {coverage:g}"
            most = f"the largest error among them reaches {reached:.2g}"
            more = f"hold out at least {needed(coverage)} {what}, or lower "
            warnings.append(Text(f"{few}: {most}; {more}", Parameter("coverage")))
        model = model.replace(tensors={**model.tensors, "head.margin": np.array([found], np.float32)})
        return Fitted(model, warnings=warnings)

    def _columns(self, answers: Array) -> dict[str, Array]:
        names = ("prediction", "low", "high")[: answers.shape[1]]
        return dict(zip(names, answers.T, strict=True))

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        super()._take_own(model, described)
        self.margin_ = float(model.tensors["head.margin"][0]) if head_of(model, Head).interval else None


def _wanted(table: Table) -> Array:
    """The answers of a table, (rows,) float64, NaN where there is none. Raises InputError if they are no numbers."""
    return numbers(answers_in(table), table.where)
