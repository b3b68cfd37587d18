"""A model as a torch module and back: `to_torch`, `from_torch` (re-exported by `gatewise.train`).

Parameters and buffers are named exactly as the tensors of the model file, so `state_dict()` holds what `Model.tensors`
holds, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from gatewise.errors import InputError, SpecError, StateError
from gatewise.graph import Graph, Node
from gatewise.layers.base import Array
from gatewise.layers.train import live_steps
from gatewise.stream import Model


class Recurrent(torch.nn.Module):
    """A whole model in torch: input stage, layers and head. float32; `.double()` makes it float64.

    Args:
        graph: what it runs.
        tensors: full name -> array; None = all zero.
        provenance: carried along for `from_torch`.
        cpu: the instruction set that was asked for, carried along; None = the best.

    Raises:
        SpecError: a layer named "training".
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Mapping[str, Array] | None = None,
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.provenance = dict(provenance or {})
        self.cpu_variant = cpu
        for node in graph.nodes:
            if node.name == "training":
                raise SpecError("torch modules keep a flag named 'training'; rename the layer of that name")
            # Not add_module, which refuses the names of its methods; a layer may have them.
            self._modules[node.name] = node.registry.face(node.layer.kind, "train").Module(node.layer, node.edges)
        if tensors is not None:
            # Cloned: torch memory is aligned alike in each run, which NumPy's is not, and matrix products
            # may round by alignment.
            self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})

    @property
    def dtype(self) -> torch.dtype:
        """The type it computes in."""
        return next((value.dtype for value in chain(self.parameters(), self.buffers())), torch.float32)

    def forward(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the whole model, as `Model.run` does.

        Args:
            x: raw readings (batch, time, inputs).
            state: full field name, e.g. "gru0.hidden" -> (batch, *field shape); None = zeros.
            lengths: (batch,) whole numbers: the steps in each row. What x holds beyond them never matters, even NaN.
                None = every row is full.

        Returns:
            y (batch, time, outputs), 0 beyond the end of a row, and the state at each row's end.

        Raises:
            InputError: x or lengths do not fit, or x is not finite where the model refuses that.
            StateError: the state does not fit.
        """
        values, after = self._run(self.graph.nodes, x, state, lengths)
        return values[self.graph.output], after

    def body(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Run without the head; arguments as those of `forward`.

        Returns:
            out (batch, time, width), what the last layer writes; scaled (batch, time, inputs), what the input stage
            makes of x, both 0 beyond the end of a row; and the state without the head's fields.
        """
        nodes = tuple(node for node in self.graph.nodes if node.name != "head")
        values, after = self._run(nodes, x, state, lengths)
        return values[self.graph.body], values[1 if nodes[0].name == "input" else 0], after

    def scaled(self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | None = None) -> Tensor:
        """What the input stage alone makes of x; arguments as those of `forward`, result as in `body`."""
        stage = self.graph.nodes[:1] if self.graph.nodes[0].name == "input" else ()
        return self._run(stage, x, state, lengths)[0][len(stage)]

    def _run(
        self, nodes: tuple[Node, ...], x: Tensor, state: Mapping[str, Tensor] | None, lengths: Tensor | None
    ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
        self._check(x, lengths)
        live = None
        if lengths is not None and bool((lengths < x.shape[1]).any()):
            live = live_steps(lengths, x.shape[1])[:, :, None]
            x = torch.where(live, x, 0.0)
        else:
            lengths = None
        if self.graph.refuses_missing and not torch.isfinite(x).all():
            row, step, column = (~torch.isfinite(x)).nonzero()[0].tolist()
            raise InputError(
                f"x is not finite in row {row}, step {step}, input {column}; clean the data, "
                'or use an input stage with missing="hold"'
            )
        now = self._state(nodes, x, state)
        values = {0: x}
        after: dict[str, Tensor] = {}
        for node in nodes:
            own = {field.name.partition(".")[2]: now[field.name] for field in node.state}
            module = self._modules[node.name]
            assert module is not None
            y, new = module([values[i] for i in node.reads], own, lengths)
            values[node.writes] = y
            after.update({field.name: new[field.name.partition(".")[2]] for field in node.state})
        if live is not None:
            values = {edge: torch.where(live, value, 0.0) for edge, value in values.items()}
        return values, after

    def _check(self, x: Tensor, lengths: Tensor | None) -> None:
        inputs = self.graph.edges[0].width
        if x.ndim != 3 or x.shape[2] != inputs:
            raise InputError(f"x must be (batch, time, inputs) with {inputs} inputs, got {tuple(x.shape)}")
        if x.dtype != self.dtype:
            raise InputError(f"x is {x.dtype}, the module {self.dtype}; convert one of them, e.g. x.to(module.dtype)")
        if lengths is None:
            return
        if lengths.dtype not in (torch.int64, torch.int32) or lengths.shape != x.shape[:1]:
            raise InputError(
                f"lengths must be whole numbers of shape ({len(x)},), got {lengths.dtype} {tuple(lengths.shape)}"
            )
        if bool(((lengths < 0) | (lengths > x.shape[1])).any()):
            low, high = int(lengths.min()), int(lengths.max())
            raise InputError(f"lengths must be from 0 to {x.shape[1]}, got {low} to {high}")

    def _state(self, nodes: tuple[Node, ...], x: Tensor, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        fields = [field for node in nodes for field in node.state]
        if state is None:
            return {field.name: x.new_zeros(len(x), *field.shape) for field in fields}
        if unknown := set(state) - {field.name for field in self.graph.state}:
            raise StateError(f"the model has no state field {sorted(unknown)[0]!r}; its fields are {self._fields()}")
        for field in fields:
            if field.name not in state:
                raise StateError(f"state field {field.name!r} is missing; pass all of {self._fields()}")
            value = state[field.name]
            if value.shape != (len(x), *field.shape) or value.dtype != x.dtype:
                got = f"{value.dtype} {tuple(value.shape)}"
                raise StateError(f"state field {field.name!r} must be {x.dtype} {(len(x), *field.shape)}, got {got}")
        return dict(state)

    def _fields(self) -> str:
        return ", ".join(field.name for field in self.graph.state)


def to_torch(model: Model) -> Recurrent:
    """The model as a torch module that can be trained, in float32, with weights of its own.

    Its `forward(x, state=None, lengths=None)` gives `(y, state)`; see `Recurrent.forward`.
    """
    return Recurrent(model.graph, model.tensors, model.provenance, model._asked_cpu)


def from_torch(module: Recurrent) -> Model:
    """The module's weights as a Model: the same bits where the module is float32, rounded where it is float64.

    Raises:
        SpecError: weights that are not finite.
        InputError: a module that `to_torch` did not make.
    """
    if not isinstance(module, Recurrent):
        raise InputError(f"from_torch takes modules made by to_torch, got {type(module).__name__}")
    return Model(module.graph.spec, tensors_of(module), module.provenance, module.cpu_variant)


def tensors_of(module: Recurrent) -> dict[str, Array]:
    """Full name -> float32 array, copied, in canonical order."""
    values = module.state_dict()
    return {name: values[name].detach().to("cpu", torch.float32).numpy().copy() for name in module.graph.tensors}
