"""AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization") over named parameters.

The update is torch's own fused one. The class around it is not: creating a `torch.optim.Optimizer` imports torch's
compiler, which takes about as long as importing torch itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """Updates parameters in place, with decay for all but vectors (biases, decays, norms).

    Args:
        parameters: name -> leaf tensor.
        decay: weight decay; each update multiplies by 1 - learning rate * decay.

    Attributes:
        memory: name -> {"exp_avg", "exp_avg_sq": running means of the gradient and its square, "step": updates, ()}.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.memory = {
            name: {
                "exp_avg": torch.zeros_like(value, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(value, requires_grad=False),
                "step": torch.zeros((), dtype=torch.float32),
            }
            for name, value in self.parameters.items()
        }

    def step(self, rate: float) -> None:
        """One update at this learning rate; a parameter without a gradient is left alone."""
        for decayed in (True, False):
            names = [name for name, p in self.parameters.items() if p.grad is not None and (p.ndim > 1) == decayed]
            if not names:
                continue
            values = [self.parameters[name] for name in names]
            gradients = [value.grad for value in values if value.grad is not None]
            memory = {key: [self.memory[name][key] for name in names] for key in ("exp_avg", "exp_avg_sq", "step")}
            with torch.no_grad():
                adamw(
                    values,
                    gradients,
                    memory["exp_avg"],
                    memory["exp_avg_sq"],
                    [],
                    memory["step"],
                    fused=True,
                    amsgrad=False,
                    beta1=BETA1,
                    beta2=BETA2,
                    lr=rate,
                    weight_decay=self.decay if decayed else 0.0,
                    eps=EPSILON,
                    maximize=False,
                )

    def forget_gradients(self) -> None:
        """Free the gradients."""
        for value in self.parameters.values():
            value.grad = None
