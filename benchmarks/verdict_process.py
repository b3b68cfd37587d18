"""Processes whose best model is known: what drives a target, the network that computes it exactly, and the noise.

A process keeps one leaky mean for each input, over the last `LOOKBACK` rows, and bends each of them at 0::

    m_i(t) = sum over k < LOOKBACK of (1 - decay_i) decay_i^k tanh(squash x_i(t - k))
    y(t)   = sum over i of weight_i (m_i(t) + bend |m_i(t)|) / sd(m_i) + noise(t)

A GRU with one unit for each memory, whose update gate is constant at decay_i, computes m_i exactly from a state of zero
before each window, and a dense layer with relu(m_i) and relu(-m_i) makes the bend. No model can be better than this
one, whose squared error is the variance of the noise.

The inputs are independent and standard normal, so the distribution of each m_i is symmetric about 0. Therefore |m_i| is
uncorrelated with every input at every lag, and no linear function of the window explains anything of the bends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import gatewise as gw

LOOKBACK = 12
"""Number of rows of a window."""

ROWS = 40
"""Number of rows of a group, if nothing else is said."""

Noise = Callable[[np.random.Generator, int, int], Any]
"""noise(rng, groups, rows) -> (groups, rows) with a mean of 0 and a variance of 1."""


def gaussian(rng: np.random.Generator, groups: int, rows: int) -> Any:
    """Independent and normal."""
    return rng.normal(size=(groups, rows))


def student(rng: np.random.Generator, groups: int, rows: int) -> Any:
    """Student's t with 3 degrees of freedom, whose variance is 3."""
    return rng.standard_t(3, (groups, rows)) / math.sqrt(3)


def skewed(rng: np.random.Generator, groups: int, rows: int) -> Any:
    """Exponential, moved to a mean of 0."""
    return rng.exponential(size=(groups, rows)) - 1


def grouped(rng: np.random.Generator, groups: int, rows: int) -> Any:
    """Autocorrelated within a group (first order, 0.7), with a scale of its own in each group.

    The squared scale is log-normal with a mean of 1: exp(s z - s^2 / 2) with s = 0.5.
    """
    found = rng.normal(size=(groups, rows))
    for t in range(1, rows):
        found[:, t] = 0.7 * found[:, t - 1] + math.sqrt(1 - 0.7**2) * found[:, t]
    return found * np.exp(0.25 * rng.normal(size=(groups, 1)) - 0.0625)


LAWS: dict[str, Noise] = {"gaussian": gaussian, "student": student, "grouped": grouped, "skewed": skewed}


@dataclass(frozen=True)
class Memories:
    """A process with one memory for each input.

    Attributes:
        decays: of the memories, by row.
        weights: of the memories in the target.
        bend: of the target at 0, as above; 0 = the target is linear in the memories.
        squash: of the inputs, as above; with a small one, the memories are linear in the inputs.
    """

    decays: tuple[float, ...]
    weights: tuple[float, ...]
    bend: float = 0.5
    squash: float = 1.0

    @property
    def columns(self) -> list[str]:
        """Names of the inputs."""
        return [f"x{i}" for i in range(len(self.decays))]

    @property
    def spread(self) -> Any:
        """(memories,) the standard deviation of each m_i, from that of tanh of a standard normal number."""
        nodes, shares = np.polynomial.hermite_e.hermegauss(80)
        square = float(shares @ np.tanh(self.squash * nodes) ** 2) / math.sqrt(2 * math.pi)
        taps = self._taps()
        return np.sqrt(square * (taps**2).sum(axis=1))

    def target(self, x: Any) -> Any:
        """The target without noise for inputs (groups, rows, memories): (groups, rows); rows before the first are 0."""
        driven, taps = np.tanh(self.squash * x), self._taps()
        m = np.zeros(x.shape)
        for k in range(LOOKBACK):
            m[:, k:] += taps[:, k] * driven[:, : x.shape[1] - k]
        return ((m + self.bend * np.abs(m)) / self.spread) @ np.array(self.weights)

    def model(self, units: int = 0, seed: int = 0) -> gw.Model:
        """The GRU that computes the target exactly.

        Args:
            units: number of GRU units, of which those beyond the memories have random weights and are not read; 0 = one
                for each memory.
            seed: of these weights.
        """
        count = len(self.decays)
        units = units or count
        layers = [
            gw.LayerSpec("gru", units=units),
            gw.LayerSpec("dense", units=2 * units, activation="relu"),
            gw.LayerSpec("dense", units=1),
        ]
        model = gw.init(gw.ModelSpec(inputs=count, layers=layers, context={"window": LOOKBACK}), seed)
        tensors = {name: np.array(value) for name, value in model.tensors.items()}
        gru, hidden, answer = (_prefix(tensors, k) for k in range(3))
        needed = np.concatenate([np.arange(count) + part * units for part in range(3)])  # in the gates r, z and n
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            tensors[f"{gru}.{name}"][needed] = 0
        for i, decay in enumerate(self.decays):
            tensors[f"{gru}.bias_ih"][units + i] = math.log(decay / (1 - decay))
            tensors[f"{gru}.weight_ih"][2 * units + i, i] = self.squash
        weight, bias = tensors[f"{hidden}.weight"], tensors[f"{hidden}.bias"]
        weight[: 2 * count], bias[: 2 * count] = 0, 0
        out = np.zeros((1, 2 * units), np.float32)
        for i in range(count):
            for sign in (0, 1):
                weight[2 * i + sign, i] = 1 - 2 * sign
                out[0, 2 * i + sign] = self.weights[i] * (self.bend + 1 - 2 * sign) / self.spread[i]
        tensors[f"{answer}.weight"], tensors[f"{answer}.bias"] = out, np.zeros(1, np.float32)
        return model.replace(tensors=tensors)

    def of_last_row(self) -> gw.Model:
        """The best linear function of tanh(squash x) in the last row, as a model without a state."""
        count = len(self.decays)
        layers = [gw.LayerSpec("dense", units=count, activation="tanh"), gw.LayerSpec("dense", units=1)]
        spec = gw.ModelSpec(inputs=count, layers=layers, context={"window": LOOKBACK})
        first = (self.squash * np.eye(count)).astype(np.float32)
        last = (self._taps()[:, 0] * np.array(self.weights) / self.spread).astype(np.float32)[None]
        zeros = (np.zeros(count, np.float32), np.zeros(1, np.float32))
        tensors = {"dense0.weight": first, "dense0.bias": zeros[0], "dense1.weight": last, "dense1.bias": zeros[1]}
        return gw.init(spec, 0).replace(tensors=tensors)

    def table(
        self, groups: int, noise: Noise, sd: float, seed: int, rows: int = ROWS, name: str = "g{}"
    ) -> pd.DataFrame:
        """A long frame with the columns id, the inputs and y. Rows with less than a window before them have no target.

        Args:
            groups: number of groups.
            noise: its law.
            sd: its standard deviation.
            seed: of inputs and noise.
            rows: of each group.
            name: of a group, from its number.
        """
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(groups, rows, len(self.decays)))
        y = self.target(x.astype(np.float32).astype(float)) + sd * noise(rng, groups, rows)
        return frame(x, y, self.columns, name)

    def _taps(self) -> Any:
        decays = np.array(self.decays)[:, None]
        return (1 - decays) * decays ** np.arange(LOOKBACK)


def frame(x: Any, y: Any, columns: list[str], name: str = "g{}") -> pd.DataFrame:
    """Inputs (groups, rows, columns) and targets (groups, rows) as a long frame."""
    groups, rows = y.shape
    made = pd.DataFrame(x.reshape(groups * rows, -1).astype(np.float32), columns=columns)
    made.insert(0, "id", np.repeat([name.format(k) for k in range(groups)], rows))
    wanted = np.where(np.arange(rows) >= LOOKBACK - 1, y, np.nan)
    return made.assign(y=wanted.ravel())


def _prefix(tensors: dict[str, Any], layer: int) -> str:
    return list(dict.fromkeys(name.split(".")[0] for name in tensors))[layer]
