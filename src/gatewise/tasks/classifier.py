"""Classifier: predict the class of each row or of each sequence, with the probability of each class.

The model reads the rows in order of time, and at each row gives the probabilities (the head `softmax`, where the
equation is). Classes may be texts, whole numbers or booleans; their names are in the model, and predictions are as the
data have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtraError
from gatewise.heads.softmax.spec import Spec as Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec
from gatewise.tables.table import Table, unused
from gatewise.tasks.answer_rivals import Question, label
from gatewise.tasks.answers import telling
from gatewise.tasks.class_names import MISSING, Label, classes_of, numbers_of, rare, said
from gatewise.tasks.fitted import head_of
from gatewise.tasks.fitting import Fitted, Fitting
from gatewise.tasks.supervised import Supervised, answers_in

try:
    import pandas as pd
    from sklearn import metrics
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(Supervised):
    """Predicts the class of each row of a series, or of each sequence.

    `predict` returns a frame with the column `prediction`, the most probable class, and a column for each class, named
    like the class, with its probability.

    All parameters are those of `gatewise.tasks.supervised.Supervised` and of every `Task`. Two layers with dropout are
    the default, because there are often few examples. Of each class the same share of series is held out, if there are
    enough of it.

    Attributes:
        classes_: the classes in ascending order, which is the order of the model's outputs.
    """

    layers: int = field(default=2, kw_only=False)
    learning_rate: float = 0.01
    variational_dropout: float = 0.3

    kind = "classifier"

    def score(self, data: Any, y: Any = None) -> dict[str, float]:
        """Compare predictions with known classes.

        Args:
            data: as for `predict`, with the target column unless y is given.
            y: the classes, as for `fit`.

        Returns:
            `accuracy`, the share of right predictions, and `log_loss`, the mean negative logarithm of the probability
            of the right class, in nats; both by scikit-learn over all answers.

        Raises:
            InputError: the data do not fit, there are no answers, or a class is not one of those of the fit.
        """
        known, answers, where = self._scored(data, y)
        wanted = numbers_of(known, self.classes_)
        if (wanted == MISSING).any():
            row = int(np.argmax(wanted == MISSING))
            raise InputError(
                f"the target {self.targets_[0]!r} has the class {known.iloc[row]!r} at {where(row)}, which is none of "
                f"those of the fit, {said(self.classes_)}; leave these rows out, or fit with examples of it"
            )
        likely = answers.astype(np.float64)
        likely /= likely.sum(axis=1, keepdims=True)  # apart from rounding to float32 the sum is 1
        return {
            "accuracy": float(metrics.accuracy_score(wanted, likely.argmax(axis=1))),
            "log_loss": float(metrics.log_loss(wanted, likely, labels=range(len(self.classes_)))),
        }

    def _check_answers(self, table: Table) -> None:
        classes_of(answers_in(table))

    def _doubtful(self, fitting: Fitting) -> list[str]:
        classes, numbers = classes_of(answers_in(fitting.table)), _numbers(fitting.table)
        codes = np.where(numbers == MISSING, np.nan, numbers)
        return [*rare(fitting, classes, numbers), *telling(fitting, codes, classes=True)]

    def _groups(self, table: Table) -> Sequence[Any]:
        numbers = _numbers(table)
        found = []
        for _, start, stop in table.series:
            own = numbers[start:stop]
            own = own[own != MISSING]
            found.append(int(np.bincount(own).argmax()) if own.size else None)
        return found

    def _head(self, table: Table) -> LayerSpec:
        return LayerSpec(Head.kind, classes=[str(name) for name in classes_of(answers_in(table))])

    def _encoded(self, table: Table, model: Model) -> Array:
        return np.ma.masked_equal(_numbers(table), MISSING)

    def _question(self, table: Table) -> Question:
        return label(_numbers(table), MISSING, len(classes_of(answers_in(table))))

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        return Fitted(model, {"classes": list(classes_of(answers_in(fitting.table)))})

    def _columns(self, answers: Array) -> dict[str, Any]:
        found: dict[str, Any] = {"prediction": pd.Series(self.classes_).to_numpy()[answers.argmax(axis=1)]}
        for k, name in enumerate(self.classes_):
            found[unused(str(name), found)] = answers[:, k]
        return found

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        super()._take_own(model, described)
        classes: tuple[Label, ...] = tuple(described["classes"])
        if tuple(map(str, classes)) != head_of(model, Head).classes:
            raise InputError("its classes are not those of its head")
        self.classes_ = classes


def _numbers(table: Table) -> Array:
    """The number of the class of each answer in a table, (rows,) int64, `MISSING` where there is none."""
    return numbers_of(answers_in(table), classes_of(answers_in(table)))
