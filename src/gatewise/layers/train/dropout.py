"""Dropout of recurrent layers: training sets values to zero at random, so that a model does not rely on single values.

Each entry of a mask is 0 with probability p, else 1 / (1 - p), so that the mean of a masked value does not change. h_t
is the output of a recurrent layer at step t, and y_t is what the layers after it read::

    y_t  = m_t * h_t        dropout: a new mask for each row and step
    y_t  = m * h_t          variational dropout: one mask for all steps of a row
    W_hh = M * weight_hh    weight drop: one mask for all rows and steps

The state is never masked: h_t enters step t + 1 unchanged, because a memory that loses a share p at each step is soon
lost (Zaremba, Sutskever and Vinyals 2014, "Recurrent Neural Network Regularization", arXiv 1409.2329). The recurrent
weights are regularised by weight drop. Masks are drawn anew in each forward run, by torch's generator.

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
"""The tensor to which weight drop applies. Not every recurrent layer has it."""


@dataclass(frozen=True)
class Dropout:
    """The dropout of all recurrent layers in training; equations and sources are at the head of the module.

    Each attribute is a probability from 0 to below 1; 0 = off. If `outputs` and `variational` are both given, their
    masks are multiplied.

    Attributes:
        outputs: dropout of the outputs of a layer, with a new mask at each step.
        variational: dropout of the outputs of a layer, with one mask for all steps of a row.
        weights: weight drop of the entries of `weight_hh`. Layers without such a matrix are not changed.

    Raises:
        InputError: a value is not a probability below 1.
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
        """Whether any of the probabilities is above 0."""
        return max(self.outputs, self.variational, self.weights) > 0.0

    def of_outputs(self, y: Tensor) -> Tensor:
        """The output of a layer (batch, time, width), with masks applied."""
        batch, time, width = y.shape
        if self.outputs:
            y = y * mask(y, self.outputs, batch, time, width)
        if self.variational:
            y = y * mask(y, self.variational, batch, 1, width)
        return y

    def of_weights(self, module: torch.nn.Module) -> torch.nn.Module:
        """A shallow copy of the module of a layer with a mask on `weight_hh`, which shares all other parameters.

        The gradient reaches the parameter of the original module. The latter is not changed, because other threads may
        be running it.
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
    """A mask of 0 with probability p, else 1 / (1 - p), with the dtype and device of a tensor.

    `torch.nn.functional.dropout` draws in the order in which its input lies in memory, which may differ between a layer
    that runs over all steps and one that runs in segments. This function draws in the order of the axes.
    """
    return like.new_empty(shape).bernoulli_(1.0 - p).div_(1.0 - p)


def checked(given: object) -> Dropout | None:
    """The `Dropout`, or None if all its probabilities are 0. Raises InputError for other types."""
    if given is not None and not isinstance(given, Dropout):
        raise InputError(f"dropout must be a gatewise.train.Dropout, e.g. Dropout(outputs=0.2), or None, got {given!r}")
    return given or None
