"""What the constructor parameters of all tasks have in common, before a fit and after it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from gatewise import layers as kinds
from gatewise.errors import FileError, GatewiseError, InputError, MissingExtraError
from gatewise.model import Model
from gatewise.model import load as load_model
from gatewise.spec import LayerSpec, short

try:
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:  # pragma: no cover - tried in an environment without the extra
    raise MissingExtraError("tasks need scikit-learn: pip install 'gatewise[train]'") from error


class AfterFit:
    """What a task does with its model after `fit`, for a scikit-learn estimator to inherit from: save it, load it, and
    take over parameters that are set later.

    The provenance of the fitted model says with which parameters it was fitted. Those of `_follows` need no training: a
    fitted task takes them over when they are set, in its attributes, its model and what `save` writes. Where another
    one is no longer what it was, the model is not what the parameters say, and `_check_unchanged` refuses to use it.
    Until then those of `_follows` are stored as they are given.

    Attributes:
        _about: the key of the provenance under which a task describes its fit.
        _follows: names of the parameters that take effect without training.
    """

    _about: ClassVar[str]
    _follows: ClassVar[tuple[str, ...]]

    model_: Model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, with all that `load` needs. `gatewise.load` reads it as a model, without this class.

        Raises:
            InputError: a parameter was changed after `fit`.
        """
        check_is_fitted(self)
        self._check_unchanged()
        self.model_.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; torch is not needed.

        Raises:
            FileError: damaged, or a model that was not made by a task of this class.
            OSError: no such file, or no permission.
        """
        model, own = load_model(path), f"a {cls._about.capitalize()}"
        described = model.provenance.get(cls._about)
        try:
            if not isinstance(described, Mapping):
                raise InputError(f"it was not made by {own}; gatewise.load reads it as a model")
            parameters = described["parameters"]
            if set(parameters) - set(cls._get_param_names()):  # type: ignore[attr-defined]
                raise InputError("its parameters are not those of this version; upgrade gatewise")
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
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = self.missing != "raise"  # type: ignore[attr-defined]
        return tags

    def __setattr__(self, name: str, value: Any) -> None:
        if "model_" in vars(self) and name in self.__parameters():
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
        known = self.__parameters()
        unknown = {name: value for name, value in params.items() if name not in known}
        super().set_params(**unknown)  # type: ignore[misc]  # scikit-learn refuses them
        self._set(params)
        return self

    def _set(self, values: Mapping[str, Any]) -> None:
        """Set parameters, and take over those that follow: all of them, or none where this raises.

        While a parameter is changed that needs another fit, those that follow wait for it, or for that one to be set
        back: which columns there are to be bounds of, for example, only a fit can tell.
        """
        before = self.__parameters()
        vars(self).update(values)
        if "model_" not in vars(self):
            return
        described = self.model_.provenance[self._about]["parameters"]
        changed = {name: now for name, _, now in changes(self, described)}
        if not changed or not changed.keys() <= set(self._follows):
            return
        try:
            model = self._following(changed)
            about = model.provenance[self._about]
            about = {**about, "parameters": {**about["parameters"], **changed}}
            self._take(model.replace(provenance={**model.provenance, self._about: about}))
        except BaseException:
            vars(self).update(before)
            raise

    def __parameters(self) -> dict[str, Any]:
        task: Any = self
        found: dict[str, Any] = task.get_params(deep=False)
        return found

    def _check_unchanged(self) -> None:
        """Refuse to go on where parameters were changed after `fit` that need another one.

        Raises:
            InputError: naming them, as they were and as they are.
        """
        changed = changes(self, self.model_.provenance[self._about]["parameters"])
        if not changed:
            return
        changed = [one for one in changed if one[0] not in self._follows] or changed  # those that follow only wait
        each = [f"{name} was changed after fit from {short(before)} to {short(now)}" for name, before, now in changed]
        them = "it" if len(each) == 1 else "them"
        raise InputError(f"{', '.join(each)}; fit again, or set {them} back")

    def _following(self, values: Mapping[str, Any]) -> Model:
        """The model with other values of parameters of `_follows`, as plain JSON values.

        Raises:
            InputError, SpecError: a bad value, or values that do not fit together.
        """
        return self.model_

    def _take(self, model: Model) -> None:
        """Set every fitted attribute from a model and its provenance."""
        raise NotImplementedError


def changes(task: Any, described: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Parameters of a task that are not those described in a file: name, as described, as they are now.

    A parameter that is not described has its default, as in a file of an older version. A random_state that is no
    number was described by the seed drawn from it, and counts as unchanged.
    """
    found = []
    parameters = task.get_params(deep=False)
    defaults = {} if set(parameters) <= set(described) else type(task)().get_params(deep=False)
    for name, value in parameters.items():
        before, now = plain(described[name] if name in described else defaults[name]), plain(value)
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


def recurrent_layers(recurrence: Any, units: Any, layers: Any, options: Any = None) -> list[LayerSpec]:
    """The recurrent layers of a model, one upon the other, all with the same further options.

    Raises:
        InputError: a parameter that makes no sense.
        SpecError: an option that the layer has not, or a value of one that it refuses.
    """
    known = [kind for kind in kinds.KINDS if kinds.registry.spec(kind).recurrent]
    if recurrence not in known:
        raise InputError(f"recurrence must be one of {known}, got {recurrence!r}")
    if isinstance(layers, bool) or not isinstance(layers, (int, np.integer)) or layers < 1:
        raise InputError(f"layers must be a whole number of at least 1, got {layers!r}")
    further = {} if options is None else plain(options)
    if not isinstance(further, dict) or not all(isinstance(name, str) for name in further):
        raise InputError(
            f'options must be those of the recurrence by name, e.g. {{"activation": "tanh"}}, got {options!r}'
        )
    if "units" in further:
        raise InputError("options has units, which is a parameter of its own; take it out and give units")
    given = {"units": plain(units), **further}
    kinds.registry.spec(recurrence).parse(f"{recurrence}0", given)  # "name" and the like are no options of a layer
    return [LayerSpec(recurrence, **given) for _ in range(layers)]


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
    listed = plain(chosen)
    listed = [listed] if isinstance(listed, (str, int)) else listed
    if not isinstance(listed, list):
        raise InputError(f"{what} must be a name, a position, or a list of these, got {chosen!r}")
    found = []
    for one in map(plain, listed):
        if isinstance(one, str) and one in names:
            found.append(list(names).index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(names):
            found.append(one)
        else:
            raise InputError(f"{what} is {one!r}, but the columns read are {list(names)}; give a name or a position")
    if len(set(found)) < len(found):
        raise InputError(f"{what} names a column twice: {listed}")
    return found


def plain(value: Any) -> Any:
    """NumPy scalars, arrays, ranges, tuples and mappings as plain JSON values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (tuple, list, range)) else value


def number(name: str, value: Any) -> Any:
    """A number out of a file. Raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"its {name} must be a number, got {value!r}")
    return value


def is_array(data: Any) -> bool:
    """Whether the data are numbers without names of columns."""
    return isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.dtype.names is None)
