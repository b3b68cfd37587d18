"""The base class of the torch modules (`train.py`) of layers, input stages and heads, and functions that they share.

`activations.py` has the activations, `recurrence.py` the native operator of recurrent layers, and `scan.py` that of
layers whose gates do not read the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.layers.base import Edge, Layer

State = dict[str, Tensor]
"""Field name within the node -> (batch, *field shape)."""


class LayerModule(torch.nn.Module):
    """Base class of the torch module of a kind. Its tensors are parameters of the same name, zero until loaded.

    Args:
        layer: the checked options.
        edges: the edges that it reads.

    Attributes:
        layer: the checked options.
        trained: whether the tensors of this kind are parameters; if not, they are buffers.
        takes_resets: whether `forward` takes resets: (batch, time) bool, True at steps before which the state is set to
            zero. Without it, a layer is run in segments between the resets.
    """

    trained: ClassVar[bool] = True
    takes_resets: ClassVar[bool] = False
    layer: Layer

    def __init__(self, layer: Layer, edges: Sequence[Edge]) -> None:
        super().__init__()
        self.layer = layer
        for name, shape in layer.tensors(edges).items():
            values = torch.zeros(shape, dtype=torch.float32)
            if self.trained:
                self.register_parameter(name, torch.nn.Parameter(values))
            else:
                self.register_buffer(name, values)

    def forward(
        self, inputs: Sequence[Tensor], state: Mapping[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Args:
            inputs: for each edge read, (batch, time, width). Values beyond the end of a row are finite but arbitrary.
            state: field name within the node -> (batch, *field shape).
            lengths: (batch,) number of steps in each row; None = all.

        Returns:
            y (batch, time, output width), arbitrary beyond the end of a row, and the state at each row's end.
        """
        raise NotImplementedError


def live_steps(lengths: Tensor, time: int) -> Tensor:
    """Which steps come before the end of their row: bool (batch, time)."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def at_end(first: Tensor, steps: Tensor, lengths: Tensor | None) -> Tensor:
    """The value of the last step of each row, or `first` for a row without steps.

    Args:
        first: (batch, width), the value before the first step.
        steps: (batch, time, width), the value after each step.
        lengths: (batch,) or None = all steps.
    """
    whole = torch.cat([first[:, None], steps], 1)
    return whole[:, -1] if lengths is None else whole[torch.arange(first.shape[0], device=first.device), lengths]


def traced() -> bool:
    """Whether torch only records or transforms operations, so that code must not depend on the values of tensors.

    This is so in `torch.export.export`, `torch.jit.trace` and both ONNX exporters, and within the transforms of
    `torch.func` (`vmap`, `grad`, `jacrev`, ...). Only torch's own operations can be used there. It is False within
    `torch.compile`, which breaks the graph to read values and calls custom operators.
    """
    if torch.compiler.is_compiling():
        return _exporting()
    return _tracing() or torch._C._are_functorch_transforms_active()


def _tracing() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _exporting() -> bool:
    known = getattr(torch.compiler, "is_exporting", None)  # from torch 2.7 on
    return known is not None and bool(known())


def fixed_steps(x: Tensor) -> Tensor:
    """x (batch, time, ...), with the number of steps made a constant if `torch.jit.trace` or ONNX records it.

    It is used for loops over the steps, which are recorded for one number of steps only. With another number, the
    exported graph then raises an error instead of giving a wrong answer.
    """
    return x.reshape(x.shape[0], int(x.shape[1]), *x.shape[2:]) if _tracing() else x


def running_maximum(x: Tensor) -> Tensor:
    """The greatest value up to each step: (batch, time, ...) -> the same."""
    if not traced():
        return x.cummax(1).values
    x, reach = fixed_steps(x), 1  # ONNX has no such operator
    while reach < x.shape[1]:
        x = torch.cat([x[:, :reach], torch.maximum(x[:, reach:], x[:, :-reach])], 1)
        reach *= 2
    return x


def check_tensors(**named: object) -> None:
    """Raise InputError for an argument that is neither a tensor nor None, such as a list of lengths."""
    for name, value in named.items():
        if value is not None and not isinstance(value, Tensor):
            kind = type(value).__name__
            raise InputError(f"{name} must be a torch tensor, got {kind}; convert it with torch.as_tensor")
