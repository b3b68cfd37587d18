"""What the torch modules (`train.py`) of layers, input stages and heads have in common.

Here what a module is; in `activations.py` the activations, in `recurrence.py` the recurrent layers' native operator,
in `scan.py` that of layers whose gates do not read the state.
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
    """Base of the torch module of a kind: its tensors are parameters of the same name, all zero until loaded.

    Args:
        layer: the checked options.
        edges: what it reads.

    Attributes:
        layer: as given.
        trained: whether the tensors of this kind are parameters; buffers if not.
        takes_resets: whether `forward` takes resets: (batch, time) bool, where the state is zero before the step. A
            kind that does not is run piece by piece between them.
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
            inputs: for each edge read, (batch, time, width). Beyond the end of a row they are finite, but mean nothing.
            state: field name within the node -> (batch, *field shape).
            lengths: (batch,) steps in each row; None = all.

        Returns:
            y (batch, time, output width), of no meaning beyond the end of a row, and the state at each row's end.
        """
        raise NotImplementedError


def live_steps(lengths: Tensor, time: int) -> Tensor:
    """Which steps lie before the end of their row: bool (batch, time)."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def at_end(first: Tensor, steps: Tensor, lengths: Tensor | None) -> Tensor:
    """The value of a row's last step, or `first` where the row has none.

    Args:
        first: (batch, width), the value before the first step.
        steps: (batch, time, width), the value after each step.
        lengths: (batch,) or None = all steps.
    """
    whole = torch.cat([first[:, None], steps], 1)
    return whole[:, -1] if lengths is None else whole[torch.arange(first.shape[0], device=first.device), lengths]


def traced() -> bool:
    """Whether torch records operations to run them elsewhere or otherwise, so that no value can be looked at.

    It does in `torch.export.export`, `torch.jit.trace` and both ONNX exporters, and within the transforms of
    `torch.func` (`vmap`, `grad`, `jacrev`, ...). What is recorded must be torch's own operations. `torch.compile` does
    not count: it looks at values by a break of the graph, and calls operators of others.
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
    """x (batch, time, ...), with the number of steps a constant where `torch.jit.trace` or ONNX records it.

    For what is recorded step by step, or round by round: run on another number it then fails, rather than answer wrong.
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
    """Raise InputError for an argument that is no tensor, such as a list of lengths; None counts as left out."""
    for name, value in named.items():
        if value is not None and not isinstance(value, Tensor):
            kind = type(value).__name__
            raise InputError(f"{name} must be a torch tensor, got {kind}; torch.as_tensor makes one of it")
