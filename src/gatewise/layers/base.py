"""Base classes of layers, input stages and heads: edges, fields of the state, options and the methods of `spec.py`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from gatewise.errors import SpecError

Array = npt.NDArray[Any]
"""A NumPy array; shapes and dtypes are stated where it is used."""

TRANSFORMS = ("log1p",)
"""Transformations that an input stage may apply to a column before it is scaled, and a head may undo."""

MOST_INPUTS = 4
"""Greatest number of edges that one node reads."""


@dataclass(frozen=True)
class Edge:
    """The values that one node passes to others at each step.

    Attributes:
        width: number of values in one step.
        dtype: NumPy name of their type.
        clock: 1 = a value each step, k = every k-th step, 0 = once, at the end of the sequence.
        readings: number of leading values that are columns of the data, if indicators of missing readings follow them;
            None = all values. Options that name columns by position refer to these.
        transform: for each column the transformation by the input stage, "log1p" or None; None = no column has one.
        own_units: number of leading columns of the data whose readings the values contain only in the units of the
            window, so that the units of the data cannot be recovered. The graph passes it on from the edges that a node
            reads to the one it writes.
    """

    width: int
    dtype: str = "float32"
    clock: int = 1
    readings: int | None = None
    transform: tuple[str | None, ...] | None = None
    own_units: int = 0

    @property
    def columns(self) -> int:
        """Number of columns of the data on this edge."""
        return self.width if self.readings is None else self.readings


@dataclass(frozen=True)
class Field:
    """One typed field of a state.

    Attributes:
        name: the name within the node.
        dtype: NumPy name of the dtype.
        shape: the shape without a batch axis.
        evidence: whether the values are the evidence of sequential tests. They are 0 at the start of a sequence; from 1
            on, the test has found a drift (see `Head.drifts`).
        bounded: whether the values lie between -1 and 1 by their equation, as those of tanh do.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    evidence: bool = False
    bounded: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes of the values of one session."""
        return self.size * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layer:
    """Base class of layers, and of `InputStage` and `Head`. The options of a kind are dataclass fields.

    A subclass only describes the kind. It holds no weights and no state; methods get them as arguments.
    """

    kind: ClassVar[str]
    not_structural: ClassVar[tuple[str, ...]] = ()
    """Names of options in which a model may differ from the one whose state it loads."""
    recurrent: ClassVar[bool] = False
    """Whether tasks offer it as the recurrent layer of a model. A layer that merely has a state need not be one."""
    causal: ClassVar[bool] = True
    """Whether an output depends on past and present inputs only, so that the layer can run step by step. The reference
    of a causal layer is `step`; that of a non-causal one, which needs the whole sequence, is `sequence`."""
    retention: ClassVar[str | None] = None
    """The name of the gate, among `gates`, by which the state of a unit is multiplied in a step; None = there is none.
    A unit whose gate stays at f forgets with the time constant -1 / ln f."""

    @classmethod
    def parse(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Build the layer from plain JSON options.

        Raises:
            SpecError: an option is unknown or missing, or a value is out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(options) - known):
            raise SpecError(
                f"{cls.kind} '{name}' has no option {', '.join(map(repr, unknown))}; "
                f"its options are {', '.join(sorted(known))}"
            )
        required = {
            field.name
            for field in dataclasses.fields(cls)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        if missing := sorted(required - set(options)):
            raise SpecError(f"{cls.kind} '{name}' needs the option {', '.join(map(repr, missing))}")
        try:
            return cls(**options)
        except SpecError as error:
            raise SpecError(f"{cls.kind} '{name}': {error}") from None

    def options(self) -> dict[str, Any]:
        """All options in canonical form, defaults included, as plain JSON values."""
        return {field.name: _as_option(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def given_options(self) -> dict[str, Any]:
        """The options that differ from their defaults or have none."""
        defaults = {field.name: _as_option(field.default) for field in dataclasses.fields(self)}
        return {name: value for name, value in self.options().items() if value != defaults[name]}

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """The edge this layer writes, given those it reads. Raises SpecError if they do not fit."""
        raise NotImplementedError

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor, in the order in which `kernel.c` receives them; by default there are none."""
        return {}

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """Typed fields of the state, in canonical order; an all-zero state is the start of a sequence."""
        return ()

    def macs(self, inputs: Sequence[Edge]) -> int:
        """Multiply-accumulates of one step in matrix products."""
        return 0

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Freshly initialised float32 tensors, with the shapes that `tensors` gives."""
        return {}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError if the values of the tensors are invalid. Their shapes are checked already."""

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The reference: one step in float64 NumPy over a batch.

        Args:
            tensors: name -> array, with the shapes that `tensors` gives.
            state: field name -> (batch, *field shape).
            x: for each edge read, (batch, width).

        Returns:
            y (batch, output width) and the next state.
        """
        raise NotImplementedError

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """The gates that `step` computes from the same arguments, in float64.

        Returns:
            name of the gate -> (batch, units); empty for a kind without gates.
        """
        return {}

    def sequence(self, tensors: Mapping[str, Array], *x: Array) -> Array:
        """The reference of a non-causal kind, in float64 NumPy over a batch.

        Args:
            tensors: name -> array, with the shapes that `tensors` gives.
            x: for each edge read, (batch, time, width).

        Returns:
            y (batch, time, output width).
        """
        raise NotImplementedError

    def numbers(self) -> dict[str, float | list[float]]:
        """The options as `kernel.c` reads them, in the order of `options.h` by its names; none unless a kind says so.

        An option that has a number for each column or target is a list; lists come last.
        """
        return {}

    def native(self) -> list[float]:
        """`numbers`, one after the other."""
        found: list[float] = []
        for numbers in self.numbers().values():
            found += [numbers] if isinstance(numbers, float) else numbers
        return found

    def warnings(self) -> tuple[str, ...]:
        """Warnings about this combination of options, which `inspect` shows."""
        return ()


def one_input(layer: Layer, inputs: Sequence[Edge]) -> Edge:
    """The only edge a layer reads. Raises SpecError when there are more or fewer."""
    if len(inputs) != 1:
        raise SpecError(f"{layer.kind} reads one edge, got {len(inputs)}; join them in a layer before it")
    return inputs[0]


def check_several(layer: Layer, inputs: Sequence[Edge]) -> None:
    """Raise SpecError unless a layer that joins edges reads as many as a node can."""
    if not 2 <= len(inputs) <= MOST_INPUTS:
        raise SpecError(f"{layer.kind} joins 2 to {MOST_INPUTS} edges, got {len(inputs)}; name them in sources (from)")


def one_width(layer: Layer, inputs: Sequence[Edge]) -> int:
    """The width of several edges that a layer joins elementwise. Raises SpecError if the widths differ."""
    check_several(layer, inputs)
    widths = [edge.width for edge in inputs]
    if len(set(widths)) > 1:
        raise SpecError(
            f"{layer.kind} reads edges of equal width, got widths {widths}; add a dense layer to make them equal"
        )
    return widths[0]


def check_count(name: str, value: object, most: int = 1 << 16, least: int = 1) -> None:
    """Raise SpecError unless a count (units, width, ...) is an int from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SpecError(f"{name} must be a whole number from {least} to {most}, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise SpecError unless an option is one of the choices."""
    if value not in choices:
        raise SpecError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_number(name: str, value: object, low: float, high: float) -> float:
    """The number as a float, so that 3 and 3.0 make the same layer. Raises SpecError if it is not in low..high."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SpecError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def check_flag(name: str, value: object) -> None:
    """Raise SpecError unless the option is True or False."""
    if not isinstance(value, bool):
        raise SpecError(f"{name} must be true or false, got {value!r}")


def check_mask(kind: str, masked: bool, read: Edge) -> None:
    """Raise SpecError unless a layer has masked=True exactly if its input has indicators of missing readings."""
    indicators = read.width - read.columns
    if masked and indicators != read.columns:
        raise SpecError(f'a masked {kind} needs an input stage with missing="mask"')
    if indicators and not masked:
        raise SpecError(
            f"{kind} reads {read.columns} columns and then indicators of missing readings; pass masked=True"
        )


def check_transform(transform: Any, count: int, what: str) -> tuple[str | None, ...] | None:
    """The transformations of columns as a tuple with one entry for each; None if there are none. Raises SpecError."""
    if transform is None:
        return None
    each = check_list("transform", transform)
    if len(each) != count or any(one is not None and one not in TRANSFORMS for one in each):
        raise SpecError(f'transform must be {count} entries, one for each {what}, "log1p" or null, got {list(each)}')
    return each if any(each) else None


def check_list(name: str, value: object) -> tuple[Any, ...]:
    """A list with at least one entry, as a tuple. Raises SpecError."""
    if not isinstance(value, (list, tuple)) or not value:
        raise SpecError(f"{name} must be a list with at least one entry, got {value!r}")
    return tuple(value)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> Array:
    """float32 values uniform in (-bound, bound)."""
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def orthogonal(rng: np.random.Generator, n: int) -> Array:
    """A random orthogonal (n, n) float32 matrix, uniform over the group.

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q (Saxe et al. 2014; Mezzadri 2007).
    """
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)


def _as_option(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and hasattr(value, "to_option"):
        return value.to_option()
    if isinstance(value, tuple):
        return [_as_option(v) for v in value]
    return value
