"""Supervised: the base class of tasks whose answers are given in the data they are fitted on.

The answers are a column of the table, the target, which the model does not read, or they are given apart from the data.
There is an answer at each row (`answer="row"`), made from the rows up to it, or one for each series or sequence
(`answer="sequence"`), made from all its rows. Rows without an answer are read, but not trained on.

If there are at least five series, some of them are held out from training as a whole, because rows of one series are
not independent; see `gatewise.tasks.whole_series`. They decide which weights are kept, and whether `fit` warns that a
simple method is better; see `gatewise.tasks.answer_rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gatewise.errors import ANY, InputError, Parameter, Text
from gatewise.heads import registry
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.tables.left_out import warn_left_out
from gatewise.tables.split import Parts
from gatewise.tables.table import Table, unused
from gatewise.tables.times import Where
from gatewise.tasks.answer_rivals import Question, answer_rivals
from gatewise.tasks.answers import name_of
from gatewise.tasks.fitting import Fitting
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json
from gatewise.tasks.sequences import Given, at_the_end, given
from gatewise.tasks.task import Task
from gatewise.tasks.whole_series import whole_series

ANSWERS = ("row", "sequence")
MOST_BPTT = 512
"""The most steps over which the gradient is propagated back from the answer to a sequence."""


@dataclass(eq=False, repr=False, kw_only=True)
class Supervised(Task):
    """Base class of `gatewise.Regressor` and `gatewise.Classifier`.

    Args:
        target: the column with the answers, by name or position; not needed if `fit` gets them as y. It is never an
            input: the model reads all other columns except time and series, or those of `columns`.
        answer: "row" = there is an answer at each row; "sequence" = there is one for each series, which is the last one
            in the target column. If y has one answer for each of several sequences, "sequence" is used.
        context: "carried" = each answer is made from all rows of the series up to it; {"window": L} = from the last L
            rows, or from fewer at the beginning of a series.
        validation: share of the series that is held out from training. With fewer than five series it is the share of
            the rows of each series, at their end.
        bptt: as for every task; None = 64 for answers at each row, and the longest sequence, but at most 512 steps, for
            one answer a sequence.

    Attributes:
        answer_: "row" or "sequence".
    """

    target: str | int | None = None
    answer: str = "row"
    context: str | Mapping[str, int] = "carried"
    bptt: int | None = None

    keeps_states = False
    follows = ("time",)

    _causal_advice = Text("pass ", Parameter("context", {"window": 96}), ", for example")

    # Methods that a subclass defines

    def _check_answers(self, table: Table) -> None:
        """Raise InputError if the answers are of another type, missing everywhere or all equal."""
        raise NotImplementedError

    def _doubtful(self, fitting: Fitting) -> list[str]:
        """Warnings about the answers."""
        raise NotImplementedError

    def _head(self, table: Table) -> LayerSpec:
        """The head for these answers, whose last layer has as many units as it reads."""
        raise NotImplementedError

    def _groups(self, table: Table) -> Sequence[Any] | None:
        """For each series the group of which a share is held out; see `whole_series`."""
        return None

    def _encoded(self, table: Table, model: Model) -> Array:
        """The answers as the head is trained on them, (rows,)."""
        raise NotImplementedError

    def _question(self, table: Table) -> Question:
        """The question on which the model is compared with simple methods."""
        raise NotImplementedError

    def _columns(self, answers: Array) -> dict[str, Array]:
        """The columns of results, given what the model answers, (answers, outputs)."""
        raise NotImplementedError

    # Methods that both tasks share

    def predict(self, data: Any) -> pd.DataFrame:
        """Predict the answers; see the class for its columns.

        Args:
            data: rows in order of time, with the columns of the fit, or sequences as for `fit`. The target is not
                needed, and not read.

        Returns:
            A frame whose first columns are the series and the time, if the data have them. If there is an answer at
            each row, it has a row for each row of the data and their index; otherwise a row for each series, with the
            time of its last row. Series that cannot be used are left out, and a warning names them: missing readings
            although `missing` is "raise", readings that are too large, or times out of order.

        Raises:
            InputError: the data do not fit.
        """
        own, table = self._read_given(data)
        return self._results(table, own.series)

    def _scored(self, data: Any, y: Any) -> tuple[pd.Series[Any], Array, Where]:
        """The known answers (answers,), what the model answers there, (answers, outputs), and where that is."""
        _, table = self._read_given(data, y, True)
        warn_left_out(table.left_out, len(table.series))
        rows = np.flatnonzero(answers_in(table).notna())
        if not len(rows):
            raise InputError(f"the target {self.targets_[0]!r} has no answers in these data; give data with answers")
        return answers_in(table).iloc[rows], self._answers(table)[rows], lambda row: table.where(int(rows[row]))

    def _check(self) -> None:
        if self.answer not in ANSWERS:
            raise InputError(Parameter("answer"), f' must be "row" or "sequence", got {self.answer!r}')

    def _given(self, data: Any, y: Any) -> Given:
        if y is None and self.target is None:
            raise InputError(
                "there are no answers; pass ", Parameter("target", ANY), " with the column that holds them"
            )
        if y is not None and self.target is not None:
            raise InputError(
                f"the target is the column {self.target!r}, and y has answers as well; leave out y or ",
                Parameter("target"),
            )
        return given(data, y)

    def _read_to_fit(self, data: Any, old: Model | None, series: str | None = None, answers: Any = None) -> Table:
        own: Given = data
        answers = as_json(self.target) if own.answers is None else own.answers
        table = self._placed(super()._read_to_fit(own.table, old, own.series, answers), own.single)
        self._check_answers(table)
        return table

    def _read_given(self, data: Any, y: Any = None, scored: bool = False) -> tuple[Given, Table]:
        """The data for the fitted model; with their answers if they are to be scored."""
        own = given(data, y, getattr(self, "columns_", None))
        answers = own.answers if own.answers is not None or not scored else as_json(self.target)
        if scored and answers is None:
            raise InputError("there are no answers to compare with; pass y")
        table = self._read(own.table, own.series, answers)
        return own, self._placed(table, self.answer_ == "sequence") if scored else table

    def _placed(self, table: Table, single: bool) -> Table:
        """The table with the answers of sequences in their last rows."""
        if not single and self.answer == "row":
            return table
        return replace(table, answers=at_the_end(answers_in(table), table.series))

    def _prepare(self, data: Any, old: Model | None, seed: int) -> Fitting:
        fitting = super()._prepare(data, old, seed)
        answer = "sequence" if data.single else self.answer
        told = {"answer": answer, "target": name_of(answers_in(fitting.table))}
        warnings = [*fitting.warnings, *self._doubtful(fitting)]
        return replace(fitting, warnings=warnings, described={**fitting.described, **told})

    def _layout(self, names: Sequence[str]) -> Layout:
        return Layout(tuple(names), targets=())

    def _parts(self, table: Table, layout: Layout, window: int, seen: Array | None, seed: int) -> Parts:
        return replace(whole_series(table, window, self.validation, seed, self._groups(table)), seen=seen)

    def _spec(self, table: Table, layout: Layout) -> ModelSpec:
        """The spec: scaled input, the stack, a dense layer for the answer, and the head."""
        head = self._head(table)
        last = LayerSpec("dense", "answer", units=registry.spec(head.kind).parse("head", head.options).width)
        layers = [*self._stack(), last]
        return ModelSpec(input=self._input(table, layout), layers=layers, head=head, context=self.context)

    def _tensors(self, model: Model, fitting: Fitting) -> Mapping[str, Array]:
        """Zero weights of the last layer, so that the first answer is the same for all inputs."""
        return {"answer.weight": np.zeros_like(model.tensors["answer.weight"])}

    def _examples(self, fitting: Fitting) -> tuple[list[Array], list[Array] | None]:
        inputs, _ = super()._examples(fitting)
        wanted = self._encoded(fitting.table, fitting.model)
        return inputs, [wanted[a:b] for a, b in fitting.parts.used]

    def _rivals(self, model: Model, fitting: Fitting) -> list[str]:
        return answer_rivals(model, fitting, self._question(fitting.table)) if self.validation else []

    def _bptt(self, fitting: Fitting) -> int | None:
        found = super()._bptt(fitting)
        if found is not None or fitting.model.window is not None or fitting.described["answer"] == "row":
            return found
        return min(MOST_BPTT, max(stop - start for _, start, stop in fitting.table.series))

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.targets_ = (str(self._told(model)["target"]),)

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        if described["answer"] not in ANSWERS:
            raise InputError(f'its answer must be "row" or "sequence", got {described["answer"]!r}')
        self.answer_ = str(described["answer"])

    def _answers(self, table: Table) -> Array:
        """What the model answers, (rows, outputs) float32; for sequences that is known in the last row of each only."""
        single, model = self.answer_ == "sequence", self.model_.relative()
        found = np.full((len(table), model.outputs), np.nan, np.float32)
        for _, start, stop in table.series:
            first = max(start, stop - model.window) if single and model.window else start
            answers = np.asarray(model.run(table.values[first:stop]))
            rows = slice(stop - 1, stop) if single else slice(start, stop)
            found[rows] = answers[-1:] if single else answers
        return found

    def _results(self, table: Table, sequences: str | None) -> pd.DataFrame:
        """The frame that `predict` returns."""
        warn_left_out(table.left_out, len(table.series))
        answers = self._answers(table)
        if self.answer_ == "row":
            return table.frame(self._columns(answers.astype(np.float64))).iloc[np.argsort(table.order)]
        last = [stop - 1 for _, _, stop in table.series]
        ids = [name for name, _, _ in table.series]
        out = pd.DataFrame(self._columns(answers[last].astype(np.float64)))
        if table.times is not None:
            out.insert(0, unused(self.time or "time", out), table.times[last])
        if sequences is not None:
            return out.set_axis(pd.Index(ids))
        if table.id is not None:
            out.insert(0, unused(table.id, {*out, self.time}), ids)
        return out


def answers_in(table: Table) -> pd.Series[Any]:
    """The answers of a table that was read with them, (rows,)."""
    assert table.answers is not None
    return table.answers
