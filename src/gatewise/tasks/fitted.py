"""The parts of all tasks that come after the fit: read data for the model, save and load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from gatewise.errors import FileError, GatewiseError, InputError, MissingExtraError, SpecError
from gatewise.heads.base import Head
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.model import load as load_model
from gatewise.spec import LayerSpec
from gatewise.tables.scaling import within_reach
from gatewise.tables.split import Split
from gatewise.tables.table import FITTED, Table, read_table
from gatewise.tables.timeline import Timeline
from gatewise.tables.warn import warn
from gatewise.tasks.bounded import no_logs
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import Parameters, is_array, whole_number
from gatewise.tasks.section import end_states

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error

if TYPE_CHECKING:
    import pandas as pd

HOMES = {
    "classifier": "gatewise.tasks.classifier",
    "detector": "gatewise.tasks.detector",
    "forecaster": "gatewise.tasks.forecaster",
    "regressor": "gatewise.tasks.regressor",
}
"""The module of each task of gatewise, by its name in model files."""

Kind = TypeVar("Kind", bound=Head)

KINDS: dict[str, Any] = {}
"""The classes of tasks that are defined so far, by their names in model files."""


class FittedTask(Parameters, BaseEstimator):  # type: ignore[misc]
    """Base class of `gatewise.Task`, which lists the attributes."""

    kind: ClassVar[str]
    keeps_states: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" not in vars(cls):
            return
        if HOMES.get(cls.kind, cls.__module__) != cls.__module__:
            raise SpecError(f"{cls.kind!r} is the kind of a task of gatewise; give {cls.__name__} another kind")
        KINDS[cls.kind] = cls

    def _take_own(self, model: Model, described: Mapping[str, Any]) -> None:
        """Set the fitted attributes that only this task has. Raises errors of many kinds if the file is damaged."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, including the data that `load` needs. `gatewise.load` reads it as a model alone.

        Raises:
            InputError: a parameter was changed after `fit`.
        """
        check_is_fitted(self)
        self._check_unchanged()
        self.model_.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file written by `save`. torch is not needed.

        Raises:
            FileError: the file is damaged, or its model was not fitted by a task of this class.
            OSError: there is no such file, or no permission to read it.
        """
        return cls.of(load_model(path), path)

    @classmethod
    def of(cls, model: Model, path: str | os.PathLike[str] = "the model") -> Self:
        """The task that fitted a model.

        Args:
            model: a model from `gatewise.load`.
            path: name of the model in messages.

        Raises:
            FileError: the model was not fitted by a task of this class, or the section of the task is damaged.
        """
        own = f"a {cls.__name__}"
        try:
            if model.task is None or model.task.kind != cls.kind:
                raise InputError(f"it was not made by {own}; gatewise.load reads it as a model")
            parameters = dict(model.task.described["parameters"])
            if set(parameters) - set(cls._get_param_names()):
                raise InputError("its parameters are not those of this version; upgrade gatewise")
            if isinstance(layers := parameters.get("recurrence"), list):
                parameters["recurrence"] = [LayerSpec.from_dict(one, "recurrence") for one in layers]
            found = cls(**parameters)
            found._take(model)
        except KeyError as error:
            raise FileError(f"{path} cannot be read as {own}: it does not say {error}") from None
        except (GatewiseError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{path} cannot be read as {own}: ", error) from None
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "raise"
        return tags

    def _read(self, data: Any, series: str | None = None, answers: Any = None) -> Table:
        """A table for the fitted model, with its columns in the order of the input.

        Args:
            data: the data.
            series: name of the column of ids, if it is not that of the task; the data then have no times.
            answers: as for `read_table`.
        """
        check_is_fitted(self)
        self._check_unchanged()
        by_name = hasattr(self, "feature_names_in_") and not is_array(data)
        time, columns = None if is_array(data) or series else self.time, self.columns_ if by_name else None
        constants, layout, dated = self._constants(), self.layout_, self.timeline_.dated
        if constants is not None:
            constants = constants[[layout.read.index(name) for name in self.columns_]]
        if layout.calendar and is_array(data):
            raise InputError(
                f"the model reads the {' and the '.join(layout.calendar)} of each row, and an array has no times; give "
                f"a frame with the times {'in its index' if self.time is None else f'in the column {self.time!r}'}"
            )
        series = self.series if series is None else series
        table = read_table(data, time, columns, self.missing, series, FITTED, dated, constants, True, answers)
        if len(table.columns) != self.n_features_in_:
            raise InputError(
                f"this {self.kind} was fitted on {self.n_features_in_} columns, "
                f"{list(self.columns_)}; {table.origin} has {len(table.columns)}"
            )
        for text in self.timeline_.compare(table):
            warn(text)
        table = table.select([self.columns_.index(name) for name in layout.read])
        table = table.without(no_logs(table, layout.transform))
        offset, scale = (self.model_.tensors[f"input.{name}"][: len(table.columns)] for name in ("offset", "scale"))
        return within_reach(table, offset, scale, self.missing, FITTED, leave_out=True, transform=layout.transform)

    def _constants(self) -> Array | None:
        """The constants that are subtracted from the columns of `layout_.read`; None = none."""
        constants = self.model_.subtract
        return None if constants is None else constants[: len(self.layout_.read)]

    def _frame(self, data: Any) -> pd.DataFrame:
        """The readings of a table in the units of the data, with the series and the times if it has them."""
        table = self._read(data)
        return table.frame({name: table.wide(k) for k, name in enumerate(table.columns)})

    def _told(self, model: Model) -> Mapping[str, Any]:
        """The data of this task in the file of a model that it fitted."""
        assert model.task is not None
        return model.task.described

    def _take(self, model: Model) -> None:
        """Set all fitted attributes from a model and its section of the task. Raises errors if they are damaged."""
        told = self._told(model)
        names = {role: tuple(map(str, told[role])) for role in ("columns", "readings", "covariates", "calendar")}
        steps, targets = (tuple(whole_number(role, one) for one in told[role]) for role in ("horizons", "targets"))
        transform = model.spec.input.options.get("transform")
        read = (*names["readings"], *names["covariates"])
        layout = Layout(
            names["readings"],
            names["covariates"],
            names["calendar"],
            steps,
            targets,
            None if transform is None else tuple(transform[: len(read)]),
        )
        if sorted(read) != sorted(names["columns"]) or len(layout.names) != model.inputs:
            raise InputError("its columns are not those that its model reads")
        if targets and not 0 <= min(targets) <= max(targets) < len(layout.readings):
            raise InputError("its targets are none of its columns")
        if (head := model.graph.head) is not None and tuple(head.targets) != targets:
            raise InputError(f"its targets are not those of its head, {list(head.targets)}")
        if not isinstance(told["warnings"], list):
            raise InputError("its warnings are no list")
        self._take_own(model, told)
        if self.keeps_states:
            ends = end_states(model)
            self.state_: Any = ends if told["series"] is not None else ends[None]
        self.split_ = Split(**{part: whole_number(part, rows) for part, rows in told["split"].items()})
        self.warnings_: tuple[str, ...] = tuple(map(str, told["warnings"]))
        self.timeline_ = Timeline.from_dict(told["times"])
        self.layout_ = layout
        self.columns_ = names["columns"]
        self.targets_ = layout.target_names
        self.n_features_in_ = len(self.columns_)
        if told["named"]:
            self.feature_names_in_ = np.array(self.columns_, object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.model_ = model


def head_of(model: Model, kind: type[Kind]) -> Kind:
    """The options of the head of a model. Raises InputError if the head is of another kind."""
    head = model.graph.head
    if not isinstance(head, kind):
        raise InputError(f"it has no head {kind.kind}")
    return head
