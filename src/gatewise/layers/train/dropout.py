"""Dropout: what a training leaves out of recurrent layers at random, so that a model comes to rely on no single value.

Each mask holds 0 with probability p and else 1 / (1 - p), so that what is masked keeps its mean. With h_t what a
recurrent layer makes of step t, and y_t what the layers after it read::

    y_t  = m_t * h_t        dropout: a mask of its own for each row and step
    y_t  = m * h_t          variational dropout: a mask for each row, the same at all its steps
    W_hh = M * weight_hh    weight drop: a mask for all rows and steps

The state is never masked: h_t goes on to step t + 1 as it is, since a memory that loses a share p at each step is soon
empty (Zaremba, Sutskever and Vinyals 2014, "Recurrent Neural Network Regularization", arXiv 1409.2329). The way from
state to state is regularised by weight drop. Masks are drawn anew in each forward run, by torch's generator.

* Dropout: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15.
* Variational ("locked") dropout: Gal and Ghahramani 2016, "A Theoretically Grounded Application of Dropout in Recurrent
  Neural Networks" (arXiv 1512.05287), on outputs alone as in Merity, Keskar and Socher 2018, "Regularizing and
  Optimizing LSTM Language Models" (arXiv 1708.02182).
* Weight drop: Merity et al. 2018, after Wan et al. 2013, "Regularization of Neural Networks using DropConnect", ICML.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import InputError

MATRIX = "weight_hh"
"""The tensor that weight drop is about; a recurrent layer may have none."""


@dataclass(frozen=True)
class Dropout:
    """What a training leaves out of every recurrent layer at random; the head of the module has equations and sources.

    Probabilities from 0 to below 1, where 0 = nothing. Those of outputs may both be given; their masks multiply.

    Attributes:
        outputs: dropout of what a layer writes, with new masks at each step.
        variational: dropout of what a layer writes, with one mask for all steps of a row.
        weights: weight drop: of the entries of `weight_hh`. Layers without such a matrix are left as they are.

    Raises:
        InputError: not a probability, or one of 1, which would leave nothing.
    """

    outputs: float = 0.0
    variational: float = 0.0
    weights: float = 0.0

    def __post_init__(self) -> None:
        named = {
            "dropout (outputs)": self.outputs,
            "variational dropout": self.variational,
            "weight drop (weights)": self.weights,
        }
        for name, p in named.items():
            if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0.0 <= p < 1.0:
                raise InputError(f"{name} must be a probability from 0 to below 1, got {p!r}")

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return max(self.outputs, self.variational, self.weights) > 0.0

    def of_outputs(self, y: Tensor) -> Tensor:
        """What a layer has written (batch, time, width), with masks."""
        batch, time, width = y.shape
        if self.outputs:
            y = y * mask(y, self.outputs, batch, time, width)
        if self.variational:
            y = y * mask(y, self.variational, batch, 1, width)
        return y

    def of_weights(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module of a layer with a mask on its `weight_hh`: a shallow copy that shares all other parameters.

        The gradient reaches the parameter of the module given, which stays as it is; other threads may be running it.
        """
        matrix = module._parameters.get(MATRIX)
        if not self.weights or not hasattr(module, MATRIX):
            return module
        if matrix is None:
            raise InputError(
                f"weight drop needs {MATRIX} to be a parameter, but here it is computed from others (parametrized); "
                "remove the parametrization or the weight drop"
            )
        masked = copy.copy(module)
        masked._parameters = {name: value for name, value in module._parameters.items() if name != MATRIX}
        setattr(masked, MATRIX, matrix * mask(matrix, self.weights, *matrix.shape))
        return masked


def mask(like: Tensor, p: float, *shape: int) -> Tensor:
    """0 with probability p, else 1 / (1 - p), of the type and on the device of a tensor.

    `torch.nn.functional.dropout` draws in the order in which its input lies in memory, which differs between a layer
    run as a whole and piece by piece; this draws in the order of the axes.
    """
    return like.new_empty(shape).bernoulli_(1.0 - p).div_(1.0 - p)


def checked(given: object) -> Dropout | None:
    """A `Dropout` that leaves anything out, or None. Raises InputError for anything else."""
    if given is not None and not isinstance(given, Dropout):
        raise InputError(f"dropout must be a gatewise.train.Dropout, e.g. Dropout(outputs=0.2), or None, got {given!r}")
    return given or None
