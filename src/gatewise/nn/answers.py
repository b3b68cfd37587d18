"""Run a torch module as it is, for modules that `from_torch` cannot convert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gatewise.layers.base import Array


def answers_of_module(module: torch.nn.Module) -> Callable[[Array], Array]:
    """A function from windows (n, lookback, columns) float32 to answers (n, k) of a module in `eval()`.

    The module reads (batch, time, inputs). It returns (batch, k), (batch,), or (batch, time, k), of which the last step
    counts; of a tuple, such as an output and a state, the first entry counts. Its mode of training is as before
    afterwards.
    """
    own = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    like = own[0] if own else torch.zeros(())

    def answers(windows: Array) -> Array:
        modes = {each: each.training for each in module.modules()}
        module.eval()
        try:
            with torch.no_grad():
                found: Any = module(torch.from_numpy(windows).to(like.device, like.dtype))
        finally:
            for each, mode in modes.items():
                each.training = mode
        found = found[0] if isinstance(found, tuple) else found
        if found.ndim == 3:
            found = found[:, -1]
        return found.reshape(len(windows), -1).double().cpu().numpy()  # type: ignore[no-any-return]

    return answers
