"""The constructor parameters of tasks: how they are checked, and how a new value takes effect after `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.file import Section
from gatewise.model import Model
from gatewise.spec import LayerSpec, short
from gatewise.tables.chosen import positions as positions


class Parameters:
    """A base class of tasks, in addition to scikit-learn's estimator, which handles parameters that are set after
    `fit`.

    The model of a fitted task records the parameters of the fit. The parameters in `follows` need no training: when
    they are set on a fitted task, its attributes, its model and the file that `save` writes change at once. If any
    other parameter differs from that of the fit, the model does not belong to the parameters any more, and
    `_check_unchanged` raises an error. As long as this is so, new values of `follows` are only stored.

    Attributes:
        follows: names of the parameters that take effect without training.
    """

    follows: ClassVar[tuple[str, ...]] = ()

    model_: Model

    def __setattr__(self, name: str, value: Any) -> None:
        if "model_" in vars(self) and name in self._parameters():
            self._set({name: value})
        else:
            super().__setattr__(name, value)

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as in scikit-learn. If this raises an error, none of them is set.

        After `fit`, parameters that take effect without training are checked and applied together, so that, for
        example, both bounds of a forecaster can be moved at once. If another parameter is set that needs a fit, they
        are only stored, and that fit checks them.

        Args:
            params: the new values.

        Raises:
            ValueError: there is no parameter of this name.
            InputError, SpecError: a value is invalid for the fitted task.
        """
        known = self._parameters()
        unknown = {name: value for name, value in params.items() if name not in known}
        super().set_params(**unknown)  # type: ignore[misc]  # scikit-learn raises the error
        self._set(params)
        return self

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set parameters, and apply those of `follows`. If this raises an error, none of them is set.

        While another parameter differs from that of the fit, values of `follows` are not applied, because they may
        depend on it: the columns that a bound refers to, for example, are known only after the next fit.
        """
        before = self._parameters()
        vars(self).update(values)
        if "model_" not in vars(self):
            return
        changed = {name: now for name, _, now in changes(self, self._section().described["parameters"])}
        if not changed or not changed.keys() <= set(self.follows):
            return
        try:
            model = self._following(changed)
            section = model.task or self._section()
            told = {**section.described, "parameters": {**section.described["parameters"], **changed}}
            self._take(model.replace(task=replace(section, described=told)))
        except BaseException:
            vars(self).update(before)
            raise

    def _parameters(self) -> dict[str, Any]:
        task: Any = self
        found: dict[str, Any] = task.get_params(deep=False)
        return found

    def _check_unchanged(self) -> None:
        """Raise an error if parameters were changed after `fit` that need another fit.

        Raises:
            InputError: there are such parameters; the message gives their old and new values.
        """
        changed = changes(self, self._section().described["parameters"])
        if not changed:
            return
        changed = [one for one in changed if one[0] not in self.follows] or changed  # these are not applied
        each = [f"{name} was changed after fit from {short(before)} to {short(now)}" for name, before, now in changed]
        them = "it" if len(each) == 1 else "them"
        raise InputError(f"{', '.join(each)}; fit again, or set {them} back")

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with new values of parameters of `follows`, given as plain JSON values.

        Raises:
            InputError, SpecError: a value is invalid, or values do not fit together.
        """
        return self.model_

    def _take(self, model: Model) -> None:
        """Set all fitted attributes from a model and its section of the task."""
        raise NotImplementedError

    def _section(self) -> Section:
        """The section of the task in the model file."""
        if self.model_.task is None:
            raise InputError(
                "model_ was replaced by a model that this task did not fit; fit again, or keep what the task saves "
                "with model_.replace(..., task=model_.task)"
            )
        return self.model_.task


def changes(task: Any, described: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Parameters of a task that differ from those described in a file: name, value in the file, present value.

    A parameter that a file of an older version does not describe has its default value. A random_state that is not a
    number is described by the seed that was drawn from it, and counts as unchanged.
    """
    found = []
    parameters = task.get_params(deep=False)
    defaults = {} if set(parameters) <= set(described) else type(task)().get_params(deep=False)
    for name, value in parameters.items():
        before, now = as_json(described[name] if name in described else defaults[name]), as_json(value)
        if name == "random_state" and not isinstance(now, int):
            continue
        if repr(before) != repr(now) and not _equal(before, now):
            found.append((name, before, now))
    return found


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, also if their `==` does not return a bool, as for arrays."""
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


def seed_of(random_state: Any) -> int:
    """A seed from a random_state as in scikit-learn: a number, a RandomState, None, or a Generator."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        if not 0 <= random_state < 1 << 63:
            raise InputError(f"random_state must be a whole number from 0 to below 2^63, got {random_state}")
        return int(random_state)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(1 << 31, dtype=np.int64))
    if random_state is None or isinstance(random_state, np.random.Generator):
        return int(np.random.default_rng(random_state).integers(1 << 31))
    raise InputError(f"random_state must be a whole number, a NumPy generator or None, got {random_state!r}")


def as_json(value: Any) -> Any:
    """Convert NumPy scalars, arrays, ranges, tuples, mappings and layers to plain JSON values."""
    if isinstance(value, LayerSpec):
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: as_json(one) for key, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, (tuple, list, range)) else value


def whole_number(name: str, value: Any) -> int:
    """A whole number from a file. Raises InputError if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"its {name} must be whole numbers, got {value!r}")
    return value


def number(name: str, value: Any) -> Any:
    """A number from a file. Raises InputError if the value is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"its {name} must be a number, got {value!r}")
    return value


def is_array(data: Any) -> bool:
    """Whether the data are an array or list, without names of columns."""
    return isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.dtype.names is None)
