"""Long short-term memory.

Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000 and the two biases of later
libraries::

    i  = gate(W_ii x + b_ii + W_hi h + b_hi + p_i * c)      input   (H)
    f  = gate(W_if x + b_if + W_hf h + b_hf + p_f * c)      forget  (H)
    g  = act(W_ig x + b_ig + W_hg h + b_hg)                 candidate (H)
    c' = f * c + i * g                                      cell    (H)
    o  = gate(W_io x + b_io + W_ho h + b_ho + p_o * c')     output  (H)
    h' = o * out(c')                                        hidden  (H)

gate is sigmoid, act and out are tanh unless an option says otherwise; `*` is elementwise. Options add variants that
exist in other libraries:

    peepholes      the terms p * c (Gers & Schmidhuber 2000); else they are left out. ONNX input P
    input_forget   f = 1 - i: the two gates are coupled (Greff et al. 2017, "CIFG"). ONNX attribute of that name
    clip           the arguments of gate and act are first clipped to [-clip, clip]. ONNX attribute of that name
    cell_clip      c' is clipped to [-cell_clip, cell_clip]. TensorFlow LSTMCell, TFLite
    projection     h' = W_hr (o * out(c')), P values instead of H (Sak, Senior & Beaufays 2014). torch `proj_size`

Tensors, H = units, I = inputs, R = P with a projection, else H; gate order i, f, g, o (as torch):

    weight_ih (4H, I)   weight_hh (4H, R)   bias_ih (4H)   bias_hh (4H)
    weight_hr (P, H) with a projection      weight_peephole (3H), order i, f, o, with peepholes

Elsewhere: torch has i, f, g, o; Keras has i, f, c (our g), o and one bias; ONNX has i, o, f, c and its P i, o, f.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.activation import ELEMENTWISE, Activation
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_number, one_input, orthogonal, uniform

ACTIVATIONS = ELEMENTWISE


@dataclass(frozen=True)
class Spec(Layer):
    """Options of an LSTM.

    Attributes:
        units: H, the size of the cell and, without a projection, of the hidden state.
        activation: the activation of the candidate.
        gate_activation: the activation of the input, forget and output gates.
        output_activation: the activation that is applied to the cell before the output gate.
        peepholes: whether the gates also read the cell.
        input_forget: whether the forget gate is one minus the input gate.
        clip: bound to which the arguments of the gates and of the candidate are clipped; None = no clipping.
        cell_clip: bound to which the cell is clipped; None = no clipping.
        projection: P, the size of the hidden state if that is smaller than the cell; None = no projection.
        forget_bias: the bias of the forget gate at initialisation. With 1 the cell keeps most of its content at first
            (Jozefowicz et al. 2015). With `input_forget` the bias of the input gate is initialised to its negative.
        chrono: T, the longest dependency expected, in steps. The forget biases are then initialised to log(U(1, T - 1))
            and the input biases to their negatives, so that the units begin with memories of all lengths up to T
            (Tallec & Ollivier 2018, arXiv 1804.11188), and `forget_bias` has no effect. None = off.
    """

    kind: ClassVar[str] = "lstm"
    not_structural: ClassVar[tuple[str, ...]] = ("forget_bias", "chrono")
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "forget"
    units: int
    activation: Any = "tanh"
    gate_activation: Any = "sigmoid"
    output_activation: Any = "tanh"
    peepholes: bool = False
    input_forget: bool = False
    clip: float | None = None
    cell_clip: float | None = None
    projection: int | None = None
    forget_bias: float = 1.0
    chrono: int | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units)
        for option in ("activation", "gate_activation", "output_activation"):
            parsed = Activation.parse(option, getattr(self, option), ACTIVATIONS)
            object.__setattr__(self, option, parsed)
        for option in ("peepholes", "input_forget"):
            if not isinstance(getattr(self, option), bool):
                raise SpecError(f"{option} must be true or false, got {getattr(self, option)!r}")
        for option in ("clip", "cell_clip"):
            if getattr(self, option) is not None:
                object.__setattr__(self, option, check_number(option, getattr(self, option), 1e-6, 1e30))
        if self.projection is not None:
            check_count("projection", self.projection)
            if self.projection >= self.units:
                raise SpecError(f"projection must be smaller than units, got {self.projection} of {self.units}")
        object.__setattr__(self, "forget_bias", check_number("forget_bias", self.forget_bias, -100.0, 100.0))
        if self.chrono is not None:
            check_count("chrono", self.chrono, 1 << 30, least=3)

    @property
    def width(self) -> int:
        """R, the size of the hidden state."""
        return self.units if self.projection is None else self.projection

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """The hidden state, at the clock of the input."""
        return Edge(self.width, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        n = 4 * self.units
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (n, one_input(self, inputs).width),
            "weight_hh": (n, self.width),
            "bias_ih": (n,),
            "bias_hh": (n,),
        }
        if self.projection is not None:
            shapes["weight_hr"] = (self.projection, self.units)
        if self.peepholes:
            shapes["weight_peephole"] = (3 * self.units,)
        return shapes

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The hidden state h, within -1 and 1 without a projection, and the cell c."""
        bounded = self.output_activation.bounded and self.gate_activation.bounded and self.projection is None
        return Field("hidden", "float32", (self.width,), bounded=bounded), Field("cell", "float32", (self.units,))

    def macs(self, inputs: Sequence[Edge]) -> int:
        """4H (I + R), and P H with a projection; peepholes are elementwise and do not count."""
        return 4 * self.units * (one_input(self, inputs).width + self.width) + (self.projection or 0) * self.units

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """Glorot-uniform input weights and projection, orthogonal recurrent weights gate by gate, zero peepholes.

        Biases are zero, except for `forget_bias` or `chrono`, which are put in bias_ih. If the recurrent matrix is not
        square because of a projection, it is the first P columns of an orthogonal matrix.
        """
        width, units = one_input(self, inputs).width, self.units
        bias = np.zeros((4, units), np.float32)
        bias[0 if self.input_forget else 1] = -self.forget_bias if self.input_forget else self.forget_bias
        drawn: dict[str, Array] = {
            "weight_ih": uniform(rng, (4 * units, width), (6.0 / (width + units)) ** 0.5),
            "weight_hh": np.concatenate([orthogonal(rng, units)[:, : self.width] for _ in range(4)]),
            "bias_ih": bias.reshape(-1),
            "bias_hh": np.zeros(4 * units, np.float32),
        }
        if self.chrono is not None:
            bias[1] = np.log(rng.uniform(1.0, self.chrono - 1.0, units))
            bias[0] = -bias[1]
        if self.projection is not None:
            bound = (6.0 / (units + self.projection)) ** 0.5
            drawn["weight_hr"] = uniform(rng, (self.projection, units), bound)
        if self.peepholes:
            drawn["weight_peephole"] = np.zeros(3 * units, np.float32)
        return drawn

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64."""
        gates, c = self._gates_and_cell(tensors, state, x[0])
        h = gates["output"] * self.output_activation(c)
        if self.projection is not None:
            h = h @ tensors["weight_hr"].T
        return h, {"hidden": h, "cell": c}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """i, f and o; the share f of the cell is kept."""
        return self._gates_and_cell(tensors, state, x[0])[0]

    def _gates_and_cell(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], x: Array
    ) -> tuple[dict[str, Array], Array]:
        h, c = state["hidden"], state["cell"]  # (batch, R), (batch, H)
        sums = x @ tensors["weight_ih"].T + tensors["bias_ih"] + h @ tensors["weight_hh"].T + tensors["bias_hh"]
        i, f, g, o = np.split(sums, 4, axis=-1)  # (batch, H) each
        p_i, p_f, p_o = np.split(tensors["weight_peephole"], 3) if self.peepholes else (0.0, 0.0, 0.0)
        i = self.gate_activation(_within(self.clip, i + p_i * c))
        f = 1.0 - i if self.input_forget else self.gate_activation(_within(self.clip, f + p_f * c))
        g = self.activation(_within(self.clip, g))
        c = _within(self.cell_clip, f * c + i * g)
        o = self.gate_activation(_within(self.clip, o + p_o * c))
        return {"input": i, "forget": f, "output": o}, c

    def numbers(self) -> dict[str, float | list[float]]:
        """Three activations, three flags, two bounds (0 = none)."""
        return {
            **self.gate_activation.numbers("gate_activation"),
            **self.activation.numbers("activation"),
            **self.output_activation.numbers("output_activation"),
            "peepholes": float(self.peepholes),
            "input_forget": float(self.input_forget),
            "projection": float(self.projection is not None),
            "clip": self.clip or 0.0,
            "cell_clip": self.cell_clip or 0.0,
        }

    def warnings(self) -> tuple[str, ...]:
        """The cell may grow without limit if a gate exceeds 1 or the candidate is unbounded."""
        found = []
        if self.cell_clip is None and not self.gate_activation.bounded:
            kind = self.gate_activation.kind
            found.append(f"gate activation {kind} is not bounded by 1: the cell may grow without limit; set cell_clip")
        if self.cell_clip is None and self.clip is None and not self.activation.bounded:
            kind = self.activation.kind
            found.append(f"candidate activation {kind} is unbounded: the cell may grow without limit; set cell_clip")
        return tuple(found)


def _within(bound: float | None, x: Array) -> Array:
    return x if bound is None else np.clip(x, -bound, bound)
