"""The constructor parameters of all tasks: what they may be, and what becomes of one that is set after a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.file import Section
from gatewise.model import Model
from gatewise.spec import LayerSpec, short


class Parameters:
    """What becomes of parameters that are set after `fit`, for a task to inherit from beside scikit-learn's estimator.

    The model of a fitted task says with which parameters it was fitted. Those of `follows` need no training: a fitted
    task takes them over when they are set, in its attributes, its model and what `save` writes. Where another one is no
    longer what it was, the model is not what the parameters say, and `_check_unchanged` refuses to use it. Until then
    those of `follows` are stored as they are given.

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
        """Set parameters by name, as in scikit-learn: all of them, or none where this raises.

        After `fit` those that take effect without another one do so together, and are checked together, so that both
        bounds of a forecaster can be moved past the old ones. With another parameter that needs a fit they are only
        stored, for that fit to check.

        Args:
            params: the new values.

        Raises:
            ValueError: no parameter of this name.
            InputError, SpecError: a fitted task cannot take a value over.
        """
        known = self._parameters()
        unknown = {name: value for name, value in params.items() if name not in known}
        super().set_params(**unknown)  # type: ignore[misc]  # scikit-learn refuses them
        self._set(params)
        return self

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set parameters, and take over those that follow: all of them, or none where this raises.

        While a parameter is changed that needs another fit, those that follow wait for it, or for that one to be set
        back: which columns there are to be bounds of, for example, only a fit can tell.
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
        """Refuse to go on where parameters were changed after `fit` that need another one.

        Raises:
            InputError: naming them, as they were and as they are.
        """
        changed = changes(self, self._section().described["parameters"])
        if not changed:
            return
        changed = [one for one in changed if one[0] not in self.follows] or changed  # those that follow only wait
        each = [f"{name} was changed after fit from {short(before)} to {short(now)}" for name, before, now in changed]
        them = "it" if len(each) == 1 else "them"
        raise InputError(f"{', '.join(each)}; fit again, or set {them} back")

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with other values of parameters of `follows`, as plain JSON values.

        Raises:
            InputError, SpecError: a bad value, or values that do not fit together.
        """
        return self.model_

    def _take(self, model: Model) -> None:
        """Set every fitted attribute from a model and what the task keeps with it."""
        raise NotImplementedError

    def _section(self) -> Section:
        """What the task keeps with its model."""
        assert self.model_.task is not None
        return self.model_.task


def changes(task: Any, described: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Parameters of a task that are not those described in a file: name, as described, as they are now.

    A parameter that is not described has its default, as in a file of an older version. A random_state that is no
    number was described by the seed drawn from it, and counts as unchanged.
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
    """Whether two values are the same, also where one is of a type that does not say so by a bool."""
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


def seed_of(random_state: Any) -> int:
    """A seed from what scikit-learn takes as random_state: a number, a RandomState, or None; also a Generator."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        if not 0 <= random_state < 1 << 63:
            raise InputError(f"random_state must be a whole number from 0 to below 2^63, got {random_state}")
        return int(random_state)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(1 << 31, dtype=np.int64))
    if random_state is None or isinstance(random_state, np.random.Generator):
        return int(np.random.default_rng(random_state).integers(1 << 31))
    raise InputError(f"random_state must be a whole number, a NumPy generator or None, got {random_state!r}")


def positions(what: str, chosen: Any, names: Sequence[str]) -> list[int]:
    """Columns given by name or position, or one of them, as positions. Raises InputError."""
    listed = as_json(chosen)
    listed = [listed] if isinstance(listed, (str, int)) else listed
    if not isinstance(listed, list):
        raise InputError(f"{what} must be a name, a position, or a list of these, got {chosen!r}")
    found = []
    for one in map(as_json, listed):
        if isinstance(one, str) and one in names:
            found.append(list(names).index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(names):
            found.append(one)
        else:
            raise InputError(f"{what} is {one!r}, but the columns read are {list(names)}; give a name or a position")
    if len(set(found)) < len(found):
        raise InputError(f"{what} names a column twice: {listed}")
    return found


def as_json(value: Any) -> Any:
    """NumPy scalars, arrays, ranges, tuples, mappings and layers as plain JSON values."""
    if isinstance(value, LayerSpec):
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: as_json(one) for key, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, (tuple, list, range)) else value


def number(name: str, value: Any) -> Any:
    """A number out of a file. Raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"its {name} must be a number, got {value!r}")
    return value


def is_array(data: Any) -> bool:
    """Whether the data are numbers without names of columns."""
    return isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.dtype.names is None)
