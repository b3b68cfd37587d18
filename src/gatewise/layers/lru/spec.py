"""Linear recurrent unit: a complex, diagonal, linear recurrence that does not depend on the input.

Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences" (arXiv 2303.06349)::

    lambda = exp(-exp(nu_log) + i exp(theta_log))       |lambda| < 1, complex (N)
    h'     = lambda * h + exp(gamma_log) * (B x)        complex (N)
    y      = Re(C h') + D x                             output  (H)

`*` is elementwise. The layer is a filter bank of N decaying oscillations, without a bias as in the paper. Each state
has the time constant 1 / (1 - |lambda|) in steps and the frequency exp(theta_log) in radians a step. D is a matrix
here; in the paper, where I = H, it is diagonal. The layer is linear, so several in a row are equivalent to one linear
filter. Put a nonlinear layer after each, such as a dense layer with an activation.

Tensors, N = states, H = units, I = inputs:

    weight_ih (2N, I)   B: the N real rows, then the N imaginary ones
    weight_ho (H, 2N)   y = weight_ho [Re h'; Im h'] + ...: Re C, then -Im C
    weight_io (H, I)    D
    nu_log (N)   theta_log (N)   gamma_log (N)

State: "hidden_re" and "hidden_im".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.errors import SpecError
from gatewise.layers.base import Array, Edge, Field, Layer, check_count, check_number, one_input


@dataclass(frozen=True)
class Spec(Layer):
    """Options of a linear recurrent unit.

    Attributes:
        units: H, the width of the output.
        states: N, the number of complex states; None = as many as units.
        r_min: the smallest |lambda| at initialisation. The defaults of r_min and r_max spread time constants from 10 to
            1000 steps. With 0 and 1, with which the paper begins, most memories would be short; for long sequences the
            paper increases r_min as well.
        r_max: the largest |lambda| at initialisation.
        max_phase: the largest angle of lambda at initialisation, in radians a step. The value of the paper, 2 pi,
            allows all frequencies; a smaller one, such as pi / 10, suits long smooth signals.
    """

    kind: ClassVar[str] = "lru"
    not_structural: ClassVar[tuple[str, ...]] = ("r_min", "r_max", "max_phase")
    recurrent: ClassVar[bool] = True
    retention: ClassVar[str | None] = "forget"
    units: int
    states: int | None = None
    r_min: float = 0.9
    r_max: float = 0.999
    max_phase: float = 2 * np.pi

    def __post_init__(self) -> None:
        check_count("units", self.units)
        if self.states is not None:
            check_count("states", self.states)
        object.__setattr__(self, "r_min", check_number("r_min", self.r_min, 0.0, 1.0))
        object.__setattr__(self, "r_max", check_number("r_max", self.r_max, 0.0, 1.0))
        object.__setattr__(self, "max_phase", check_number("max_phase", self.max_phase, 1e-6, 2 * np.pi))
        if not self.r_min < self.r_max:
            raise SpecError(f"r_min must be smaller than r_max, got {self.r_min:g} and {self.r_max:g}")

    @property
    def size(self) -> int:
        """N, the number of complex states."""
        return self.units if self.states is None else self.states

    def outputs(self, inputs: Sequence[Edge]) -> Edge:
        """One value for each unit, at the clock of the input."""
        return Edge(self.units, clock=one_input(self, inputs).clock)

    def tensors(self, inputs: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
        """Shapes as in the head of this file."""
        width, size = one_input(self, inputs).width, self.size
        return {
            "weight_ih": (2 * size, width),
            "weight_ho": (self.units, 2 * size),
            "weight_io": (self.units, width),
            "nu_log": (size,),
            "theta_log": (size,),
            "gamma_log": (size,),
        }

    def state(self, inputs: Sequence[Edge]) -> tuple[Field, ...]:
        """The real and the imaginary part of h."""
        return Field("hidden_re", "float32", (self.size,)), Field("hidden_im", "float32", (self.size,))

    def macs(self, inputs: Sequence[Edge]) -> int:
        """2N I + 2N H + H I; the recurrence is elementwise and does not count."""
        width, size = one_input(self, inputs).width, self.size
        return 2 * size * (width + self.units) + self.units * width

    def initial(self, inputs: Sequence[Edge], rng: np.random.Generator) -> dict[str, Array]:
        """lambda on a ring, uniform by area between r_min and r_max and with an angle uniform up to max_phase.

        |lambda|^2 is uniform in [r_min^2, r_max^2], and gamma = sqrt(1 - |lambda|^2), so that white noise gives all
        states the same variance, whatever their time constant. B, C and D are Gaussian with variances 1 / (2 I), 1 / N
        and 1 / I.
        """
        width, size = one_input(self, inputs).width, self.size
        square = rng.uniform(self.r_min**2, self.r_max**2, size)  # |lambda|^2
        square = np.clip(square, 1e-12, 1.0 - 1e-12)  # the logarithms below are finite at the ends of the ring too
        phase = np.maximum(rng.uniform(0.0, self.max_phase, size), 1e-12)
        drawn = {
            "weight_ih": rng.normal(0.0, (2.0 * width) ** -0.5, (2 * size, width)),
            "weight_ho": rng.normal(0.0, size**-0.5, (self.units, 2 * size)),
            "weight_io": rng.normal(0.0, width**-0.5, (self.units, width)),
            "nu_log": np.log(-0.5 * np.log(square)),
            "theta_log": np.log(phase),
            "gamma_log": 0.5 * np.log(-np.expm1(np.log(square))),
        }
        return {name: value.astype(np.float32) for name, value in drawn.items()}

    def check(self, tensors: Mapping[str, Array]) -> None:
        """Raise SpecError if the exponential of a value is too large for float32."""
        for name in ("nu_log", "theta_log", "gamma_log"):
            most = float(tensors[name].max())
            if most > np.log(np.finfo(np.float32).max):
                raise SpecError(f"{name} must be at most 88.7, so that exp of it is a float32, got {most:g}")

    def step(
        self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The equations above in float64 and complex128."""
        turn = np.exp(-np.exp(tensors["nu_log"]) + 1j * np.exp(tensors["theta_log"]))  # lambda (N)
        real, imag = np.split(x[0] @ tensors["weight_ih"].T, 2, axis=-1)  # B x, (batch, N) each
        h = turn * (state["hidden_re"] + 1j * state["hidden_im"]) + np.exp(tensors["gamma_log"]) * (real + 1j * imag)
        y = np.concatenate([h.real, h.imag], axis=-1) @ tensors["weight_ho"].T + x[0] @ tensors["weight_io"].T
        return y, {"hidden_re": h.real, "hidden_im": h.imag}

    def gates(self, tensors: Mapping[str, Array], state: Mapping[str, Array], *x: Array) -> dict[str, Array]:
        """|lambda|, the constant factor of each state, called "forget" as in an LSTM."""
        size = np.exp(-np.exp(tensors["nu_log"]))  # (N)
        return {"forget": np.broadcast_to(size, (len(x[0]), self.size))}
