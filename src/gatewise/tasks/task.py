"""Task: the base class of estimators that fit a model to a table.

A subclass defines which columns its model reads and forecasts (`_layout`), how rows are split (`_parts`), what the
model is (`_spec`), and what its answers mean. The base class does everything else: it reads and checks the data, scales
them, initialises the weights, trains with budget, progress and checkpoints, writes the section of the model file,
computes the states after training, and handles parameters that are set later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gatewise.errors import InputError, Parameter, SpecError, Text
from gatewise.layers.base import Array
from gatewise.model import Model, init
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import State
from gatewise.tables.constants import FIND
from gatewise.tables.left_out import says_left_out, without_far
from gatewise.tables.plausible import implausible
from gatewise.tables.scaling import standardise, within_reach
from gatewise.tables.seen import record
from gatewise.tables.split import Parts
from gatewise.tables.table import Table, read_table
from gatewise.tables.timeline import timeline
from gatewise.tables.warn import warn
from gatewise.tasks import RECURRENCE
from gatewise.tasks.beforehand import check_files, check_room, check_split
from gatewise.tasks.bounded import logged, no_logs
from gatewise.tasks.fitted import FittedTask
from gatewise.tasks.fitting import Fitted, Fitting, at
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json, positions, seed_of
from gatewise.tasks.rivals import enough
from gatewise.tasks.section import section
from gatewise.tasks.stack import stack, without_memory
from gatewise.tasks.start import flattering, in_order, origin, rows_seen, started, subtracted, with_weights
from gatewise.tasks.two_parts import in_two
from gatewise.tasks.whole_series import divided

if TYPE_CHECKING:
    from gatewise.train import History


@dataclass(eq=False, repr=False)
class Task(FittedTask):
    """Base class of estimators that fit a model to a table of readings, with the interface of scikit-learn.

    Parameters are stored as given, `fit` checks them, and fitted attributes end in `_`. The data may be a frame of
    pandas, polars, Arrow or xarray, a dict of columns, a NumPy array (rows,) or (rows, columns), or the path of a .csv
    or .parquet file; rows are steps in order of time.

    Args:
        recurrence: the kind of the recurrent layers, e.g. "gru"; or a list of `LayerSpec`, which is used as it is.
        units: size of each recurrent layer; not with a list of `LayerSpec`.
        layers: number of stacked recurrent layers.
        options: further options of each recurrent layer, e.g. {"chrono": 96} for an "lstm"; None = none.
        blocks: number of residual blocks (`gatewise.residual`), each around one recurrent layer, instead of plain
            layers; 0 = none.
        width: number of values that each block reads and writes; None = as many as units.
        target: the target columns by name or position, one or a list; None = all that are possible.
        time: name of the time column; None = the frame's index if it holds dates, else no times.
        series: name of the column with the ids of several series; None = one series.
        columns: names of the columns to read; None = all but time and series.
        missing: "raise" = missing readings are an error; "hold" = fill them forward with the last finite reading of the
            column; "mask" = fill them forward and give the model an indicator of them.
        validation: share of the rows of each series, at their end, that is held out from training.
        learning_rate, batch, bptt: settings of the training, see `gatewise.train.fit`.
        dropout, variational_dropout, weight_drop: probabilities from 0 to below 1 for dropout in the recurrent layers
            during training: of their outputs at each step, of their outputs for all steps of a sequence, and of their
            recurrent weights; see `gatewise.train.Dropout`.
        steps, epochs: the budget of the training, as is `seconds` of `fit`. Without any budget, 2,000 steps.
        random_state: seed of weights and sampling. The same seed, machine and data give the same bits, unless the
            budget is in seconds. None = a new seed each time.

    Attributes:
        kind: name of the task in model files.
        keeps_states: whether the state after the last row of the fit is saved.
        model_: the trained `gatewise.Model`, whose `stream()` answers step by step.
        columns_: names of the columns read, as in the data.
        targets_: names of the target columns.
        layout_: the layout of the model's input.
        split_: number of rows in each part.
        timeline_: the calendar of the rows of the fit, with which the times of later data are compared.
        state_: `gatewise.State` after the last row of the fit, from which directly following rows continue; with
            `series` a dict from the id of each series to its state.
        warnings_: warnings about the data and the fit, which `fit` also issues.
        history_: the history of the training (after `fit`, not after `load`).
        n_features_in_: number of columns of the data, as in scikit-learn.
        feature_names_in_: names of the columns, only if the data have them.
    """

    recurrence: Any = RECURRENCE
    units: int = 32
    layers: int = 1
    _: KW_ONLY
    options: Mapping[str, Any] | None = None
    blocks: int = 0
    width: int | None = None
    target: str | int | Sequence[str | int] | None = None
    time: str | None = None
    series: str | None = None
    columns: Sequence[str] | None = None
    missing: str = "raise"
    validation: float = 0.2
    learning_rate: float = 3e-3
    batch: int = 16
    bptt: int | None = 64
    dropout: float = 0.0
    variational_dropout: float = 0.0
    weight_drop: float = 0.0
    steps: int | None = None
    epochs: int | None = None
    random_state: Any = 0

    _causal_advice: ClassVar[Text] = Text("use causal layers")
    """What to do about layers that need the whole sequence."""

    # Methods that a subclass defines

    def _check(self) -> None:
        """Check parameters that are needed only after the training. Raises InputError."""

    def _layout(self, names: Sequence[str]) -> Layout:
        """The layout of the model's input, given the names of the columns. Raises InputError."""
        chosen = list(range(len(names))) if self.target is None else positions("target", self.target, names)
        if not chosen:
            raise InputError(Parameter("target"), " is an empty list; name at least one, or give None for all")
        return Layout(tuple(names), targets=tuple(chosen))

    def _parts(self, table: Table, layout: Layout, window: int, seen: Array | None, seed: int) -> Parts:
        """The split of the rows of each series.

        Args:
            table: all series that can be used, with the columns of `layout.read` in its order.
            layout: the layout of the model's input.
            window: the least number of rows from which the model answers.
            seen: rows that must not calibrate, (rows,) bool; None = none.
            seed: decides what is chosen at random.

        Raises:
            InputError: a parameter is invalid, or no series is long enough.
        """
        return in_two(table, layout, window, self.validation)

    def _lasting(self, layout: Layout) -> Sequence[int] | None:
        """The columns that must stay in their range of the training rows; None = all."""
        return None

    def _spec(self, table: Table, layout: Layout) -> ModelSpec:
        """The spec of the model. Raises InputError or SpecError."""
        raise NotImplementedError(f"{type(self).__name__} does not define _spec, which returns the ModelSpec to train")

    def _tensors(self, model: Model, fitting: Fitting) -> Mapping[str, Array]:
        """Initial tensors that differ from those of `gatewise.init`, except those of the input stage."""
        return {}

    def _examples(self, fitting: Fitting) -> tuple[list[Array], list[Array] | None]:
        """The input (rows, inputs) and the targets of each series that is split.

        Targets are in the form of `gatewise.train.fit`; None = the head takes them from the input.
        """
        values, times, layout = fitting.table.values, fitting.table.times, fitting.layout
        return [layout.inputs(values[a:b], at(times, slice(a, b))) for a, b in fitting.parts.used], None

    def _bptt(self, fitting: Fitting) -> int | None:
        """The most steps over which the gradient is propagated back through time, as `gatewise.train.fit` takes it."""
        found: int | None = as_json(self.bptt)
        return found

    def _finish(self, model: Model, fitting: Fitting) -> Fitted:
        """Complete the trained model, e.g. calibrate it."""
        return Fitted(model)

    def _given(self, data: Any, y: Any) -> Any:
        """The data of `fit` in the form that `_read_to_fit` takes."""
        return data

    def _rivals(self, model: Model, fitting: Fitting) -> list[str]:
        """Warnings about simple methods that are better than the complete model on the held-out rows; see `rivals`."""
        return []

    # Methods that all tasks share

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        start: Any = None,
        seconds: float | None = None,
        progress: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = True,
        metrics: str | os.PathLike[str] | None = None,
        baselines: bool = True,
    ) -> Self:
        """Train on one part of the data, and validate on another: mostly on the rows at the end of each series.

        If there are several series, those that cannot be used are left out, and `warnings_` names them: too short to
        train on, missing readings although `missing` is "raise", readings that are too large, or times out of order. If
        there is only one series, this is an error.

        Args:
            data: the series.
            y: the answers, for tasks that take them apart from the data; others do not use it.
            start: a fitted task of this class, its model or the path of its file, from which the training continues.
                Its weights are trained further; its scaling, columns, targets, layers and sizes are kept. Rows on which
                it was trained or that decided when to stop are recognised by their times or readings. They are never
                used for calibration, and a warning is given if they are used for validation; see
                `gatewise.tables.seen`.
            seconds: budget of the training in seconds.
            progress: True to show progress, with a bar on a terminal and a line every ten seconds elsewhere; "bar" for
                the bar alone; a function that is called with a `gatewise.train.Status`; or None.
            checkpoint: a file from which an interrupted training continues; see `gatewise.train.fit`.
            resume: False = ignore an existing checkpoint and start again.
            metrics: a CSV file to which the course of the training is written.
            baselines: whether the model is compared with simple methods on the held-out part, so that a warning says if
                one of them is better.

        Raises:
            InputError: data or parameters are invalid; the message says where.
            SpecError: options or sizes are invalid.
            TrainError: the training diverged.
            MissingExtraError: torch is not installed.
        """
        self._check()
        check_files(data, start, checkpoint, metrics)
        old, seed = started(self, start), seed_of(self.random_state)
        fitting = self._prepare(self._given(data, y), old, seed)
        parameters = {key: as_json(value) for key, value in {**self.get_params(), "random_state": seed}.items()}
        states = len(fitting.table.series) * fitting.model.graph.state_bytes if self.keeps_states else 0
        check_room(fitting.model, parameters, fitting.table, states)
        inputs, targets = self._examples(fitting)
        check_split(inputs, fitting.parts)
        inputs, targets, held_out = divided(inputs, targets, fitting.parts)
        from gatewise.train import Dropout, fit  # after the checks: importing torch takes seconds

        trained, history = fit(
            fitting.model,
            inputs,
            targets,
            validation=held_out,
            steps=as_json(self.steps),
            seconds=as_json(seconds),
            epochs=as_json(self.epochs),
            batch=as_json(self.batch),
            bptt=self._bptt(fitting),
            learning_rate=as_json(self.learning_rate),
            dropout=Dropout(as_json(self.dropout), as_json(self.variational_dropout), as_json(self.weight_drop)),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            metrics=metrics,
            progress=progress,
        )
        fitted = self._finish(trained, fitting)
        rivals = self._rivals(fitted.model, fitting) if baselines and enough(history) else []
        warnings = [*fitting.warnings, *fitted.warnings, *rivals]
        described = {**fitting.described, "parameters": parameters, "warnings": warnings, **fitted.described}
        ends = [fitted.model.settled(state) for state in self._ends(fitted.model, fitting)]
        model = fitted.model.absolute(fitting.constants)
        self._take(model.replace(task=section(self.kind, described, ends)))
        self.history_: History = history
        for text in warnings:
            warn(text)
        return self

    def _prepare(self, data: Any, old: Model | None, seed: int) -> Fitting:
        """Everything before the training: read, split, check and scale the data, and build the model."""
        given = self._read_to_fit(data, old)
        layout = self._layout(given.columns)
        table = given.select([given.columns.index(name) for name in layout.read])
        model = init(self._spec(table, layout), seed)
        if not model.graph.streams:
            raise SpecError(f"{model.why_non_causal()}, so it cannot be trained step by step; ", self._causal_advice)
        if old is not None:
            model = with_weights(self, model, old)
        table = without_far(table.without(no_logs(table, layout.transform)), self.missing, layout.transform)
        seen = rows_seen(table, self, old)
        parts = self._parts(table, layout, model.window or 1, seen, seed)
        held_out = parts.calibration if parts.split.calibration else parts.validation
        # Where whole series are held out, a column may rise or wander within each of them.
        lasting = [] if parts.share is None else self._lasting(layout)
        doubts = implausible(table, parts.training, held_out, lasting)
        trained_on = record(table, parts.learnt, None if old is None else self._told(old)["seen"])
        if old is None:
            offset, scale = standardise(logged(table, layout.transform), parts.training, layout.transform)
        else:
            offset, scale = (old.tensors[f"input.{name}"][: len(layout.read)] for name in ("offset", "scale"))
        table = within_reach(table, offset, scale, self.missing, transform=layout.transform)
        times, uneven = timeline(table, ends=self.keeps_states)
        warnings = [
            *says_left_out(table.left_out, len(table.series)),
            *uneven,
            *table.warnings,
            *parts.warnings,
            *without_memory(model),
            *doubts,
            *flattering(seen, parts.validation),
        ]
        described = {
            "columns": list(given.columns),
            "named": table.named,
            **{role: list(getattr(layout, role)) for role in ("readings", "covariates", "calendar", "horizons")},
            "targets": list(layout.targets),
            "split": asdict(parts.split),
            "series": None if self.series is None else [name for name, _, _ in table.series],
            "times": times.to_dict(),
            "seen": trained_on,
            **origin(old),
        }
        fitting = Fitting(table, layout, parts, offset, scale, model, doubts, warnings, described)
        return fitting if old is not None else replace(fitting, model=self._in_units(model, fitting))

    def _stack(self) -> list[LayerSpec]:
        """The layers between the input and the head of the model."""
        defaults = type(self).units, type(self).layers
        return stack(self.recurrence, self.units, self.layers, self.options, self.blocks, self.width, defaults)

    def _input(self, table: Table, layout: Layout) -> LayerSpec:
        """The input stage of the model: scaled columns, with their names if they have any."""
        wide = layout.names
        return LayerSpec(
            "numeric",
            width=len(wide),
            columns=list(wide) if table.named or len(wide) > len(layout.read) else None,
            scaling="standard",
            missing=self.missing,
            transform=layout.transforms,
        )

    def _in_units(self, model: Model, fitting: Fitting) -> Model:
        """The model before its training, in the units of the data."""
        offset, scale = fitting.layout.units(fitting.offset, fitting.scale)
        given = {"input.offset": offset, "input.scale": scale, **self._tensors(model, fitting)}
        return model.replace(tensors={**model.tensors, **given})

    def _read_to_fit(self, data: Any, old: Model | None, series: str | None = None, answers: Any = None) -> Table:
        """The table to fit on, with its columns in the order of the start if there is one.

        Args:
            data: the data.
            old: the model of the start.
            series: name of the column of ids, if it is not that of the task; the data then have no times.
            answers: as for `read_table`.
        """
        table = read_table(
            data,
            self.time if series is None else None,
            self.columns,
            self.missing,
            self.series if series is None else series,
            subtract=self._find if old is None else subtracted(old, self._told(old)),
            leave_out=True,
            answers=answers,
        )
        return table if old is None else in_order(table, self._told(old)["columns"])

    def _find(self, names: Sequence[str]) -> Sequence[Any]:
        """For each column whether to find a constant to subtract; not if its logarithm is taken."""
        layout = self._layout(names)
        logs = {name for name, one in zip(layout.read, layout.transform or (), strict=False) if one}
        return [None if name in logs else FIND for name in names]

    def _ends(self, model: Model, fitting: Fitting) -> Iterator[State]:
        """The state of each series after its last row, if the task keeps states."""
        table = fitting.table
        for _, start, stop in table.series if self.keeps_states else ():
            rows = slice(start, stop)
            x = fitting.layout.inputs(table.values[rows], at(table.times, rows))
            _, state = model.run(x, return_state=True)
            assert isinstance(state, State)
            yield state
