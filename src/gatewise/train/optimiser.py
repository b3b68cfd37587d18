"""AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization") over named parameters.

The update is torch's own fused one. The class around it is not torch's, because creating a `torch.optim.Optimizer`
imports torch's compiler, which takes about as long as importing torch itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """Updates parameters in place. Weights of one axis (biases, decays, gains of norms) have no weight decay.

    Args:
        parameters: name -> leaf tensor.
        decay: weight decay; each update multiplies the weights by 1 - learning rate * decay.

    Attributes:
        state: name -> {"exp_avg": running mean of the gradient, "exp_avg_sq": running mean of its square, both of the
            parameter's shape, "step": number of updates, of shape ()}.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.state = {
            name: {
                "exp_avg": torch.zeros_like(value, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(value, requires_grad=False),
                "step": torch.zeros((), dtype=torch.float32),
            }
            for name, value in self.parameters.items()
        }

    def step(self, learning_rate: float) -> None:
        """One update; a parameter without a gradient stays as it is."""
        for decayed in (True, False):
            names = [name for name, p in self.parameters.items() if p.grad is not None and (p.ndim > 1) == decayed]
            if not names:
                continue
            values = [self.parameters[name] for name in names]
            gradients = [value.grad for value in values if value.grad is not None]
            state = {key: [self.state[name][key] for name in names] for key in ("exp_avg", "exp_avg_sq", "step")}
            with torch.no_grad():
                adamw(
                    values,
                    gradients,
                    state["exp_avg"],
                    state["exp_avg_sq"],
                    [],
                    state["step"],
                    fused=True,
                    amsgrad=False,
                    beta1=BETA1,
                    beta2=BETA2,
                    lr=learning_rate,
                    weight_decay=self.decay if decayed else 0.0,
                    eps=EPSILON,
                    maximize=False,
                )

    def zero_grad(self) -> None:
        """Free the gradients."""
        for value in self.parameters.values():
            value.grad = None
