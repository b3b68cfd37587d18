"""A model as a torch module: `to_torch` makes a `Recurrent`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gatewise.errors import InputError, SpecError, StateError
from gatewise.graph import Graph, Node
from gatewise.heads.train import HeadModule
from gatewise.inputs.train import StageModule, usable
from gatewise.layers.base import Array, Field
from gatewise.layers.train import check_tensors, live_steps, running_maximum, traced
from gatewise.layers.train.dropout import MATRIX, Dropout, checked
from gatewise.model import Model


class Recurrent(torch.nn.Module):
    """A model in torch: input stage, layers and head. It is float32; `.double()` makes it float64.

    Args:
        graph: the graph of the model.
        tensors: full name -> array; None = all zero.
        provenance: the provenance of the model, which `from_torch` returns.
        cpu: the instruction set that was asked for, which `from_torch` returns; None = the best.
        recompute: whether to save only the state at some steps for backward, and to compute the other activations
            again. Memory then grows with the square root of the number of steps, at the cost of another forward run.
        dropout: the dropout of the recurrent layers, which acts in training mode (`train()`, the initial mode) and not
            after `eval()`. None = no dropout.

    Raises:
        SpecError: a layer is named "training", or the model has no layers to which `dropout` applies.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Mapping[str, Array] | None = None,
        provenance: Mapping[str, Any] | None = None,
        cpu: str | None = None,
        recompute: bool = False,
        dropout: Dropout | None = None,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.dropout = checked(dropout)
        self.graph = graph
        self.provenance = dict(provenance or {})
        self.cpu_variant = cpu
        for node in graph.nodes:
            if node.name == "training":
                raise SpecError("torch modules keep a flag named 'training'; rename the layer of that name")
            # Not add_module, which does not allow the names of its methods; a layer may have such a name.
            self._modules[node.name] = node.registry.module(node.layer.kind, "train").Module(node.layer, node.edges)
        if self.dropout is not None:
            self._check_dropout(self.dropout)
        if tensors is not None:
            # Copied, because matrix products may round differently with another alignment in memory, and that of torch,
            # unlike that of NumPy, is the same in each run.
            self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which it computes."""
        return next((value.dtype for value in chain(self.parameters(), self.buffers())), torch.float32)

    @property
    def head(self) -> HeadModule | None:
        """The module of the head, which computes predictions, targets and the loss; None if the model has no head."""
        head = self._modules.get("head")
        assert head is None or isinstance(head, HeadModule)
        return head

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the model, as `Model.run` does.

        Args:
            x: raw readings (batch, time, inputs).
            state: full field name, e.g. "gru0.hidden" -> (batch, *field shape); None = zeros.
            lengths: (batch,) whole numbers, the number of steps in each row; None = all rows are full. Values of x
                beyond the end of a row never matter, even if they are NaN.
            resets: (batch, time) bool, True at steps before which the state is set to zero, because a new series begins
                there; None = no resets. Not for a model with a window or with a non-causal layer.

        Returns:
            y (batch, time, outputs), 0 beyond the end of a row, and the state at each row's end.

        Raises:
            InputError: x, lengths or resets do not fit, or x has missing readings and the model does not accept them.
            StateError: the state does not fit.
        """
        check_tensors(x=x, lengths=lengths, resets=resets)
        if resets is not None:
            self._check_resets(x, resets)
        if self.graph.window is not None:
            return self._slide(self.graph.window, x, state, lengths)
        values, after = self._run(self.graph.nodes, x, state, lengths, resets=resets)
        return values[self.graph.output], after

    def body(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | None = None,
        *,
        last: bool = False,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Run without the head, as training does. If the model has a window, each row of x is one window.

        Args:
            x: raw readings (batch, time, inputs).
            state: the state of the nodes, as in `forward`; None = zeros, as at the start of a window.
            lengths: as in `forward`.
            last: whether to compute only the output of the last step; all rows must then be full.

        Returns:
            out (batch, time, width), the `prediction` of the head or, without a head, the output of the last layer;
            scaled (batch, time, width), the output of the input stage; both are 0 beyond the end of a row; and the
            state without the fields of the head. With `last`, out is (batch, 1, width).
        """
        nodes = tuple(node for node in self.graph.nodes if node.name != "head")
        values, after = self._run(nodes, x, state, lengths, last)
        out, scaled, head = values[self.graph.body], values[self.graph.scaled], self.head
        if head is not None:
            read = [values[edge] for edge in self.graph.nodes[-1].reads]
            out = head.prediction([edge[:, -out.shape[1] :] for edge in read] if last else read)
        return out, scaled, after

    def scaled(self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | None = None) -> Tensor:
        """The output of the input stage alone, as in `body`; the arguments are those of `forward`."""
        stage = self.graph.nodes[:1] if self.graph.scaled else ()
        return self._run(stage, x, state, lengths)[0][self.graph.scaled]

    def usable(self, x: Tensor) -> Tensor:
        """Which raw readings (..., inputs) are not missing: those that are finite and not too large after scaling."""
        stage = self._modules.get("input")
        if stage is None:  # it changes nothing
            return usable(x)
        assert isinstance(stage, StageModule)
        return stage.usable(x)

    def _slide(
        self, window: int, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`forward` of a model with a window: makes a row for each step, with the readings of its window."""
        self._check(x, lengths)
        batch, time, inputs = x.shape
        steps = torch.full((batch,), time) if lengths is None else lengths
        live = live_steps(steps, time)
        now = self._state(self.graph.state, x, state)
        seen = now["window.count"].to(torch.int64)  # (batch, 1)
        every = torch.cat(
            [now["window.readings"], torch.where(live[:, :, None], x, 0.0)], 1
        )  # (batch, L + time, inputs)
        if self.graph.fills_before_window:
            every = _filled_forward(every, self.usable(every), window - seen)
        length = (seen + torch.arange(1, time + 1)).clamp(max=window)  # (batch, time) of the window at each step
        start = window + 1 + torch.arange(time) - length
        where = (start[:, :, None] + torch.arange(window)).clamp(max=window + time - 1)
        rows = every[torch.arange(batch)[:, None, None], where].reshape(batch * time, window, inputs)
        values, _ = self._run(self.graph.nodes, rows, None, length.reshape(-1))
        answers = values[self.graph.output][torch.arange(batch * time), length.reshape(-1) - 1].reshape(batch, time, -1)
        kept = every[torch.arange(batch)[:, None], steps[:, None] + torch.arange(window)]
        after = {"window.count": (seen + steps[:, None]).clamp(max=window).to(x.dtype), "window.readings": kept}
        return torch.where(live[:, :, None], answers, 0.0), after

    def _run(
        self,
        nodes: tuple[Node, ...],
        x: Tensor,
        state: Mapping[str, Tensor] | None,
        lengths: Tensor | None,
        last: bool = False,
        resets: Tensor | None = None,
    ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
        self._check(x, lengths)
        time: Any = x.shape[1]
        if isinstance(time, torch.SymInt) and (carried := [node.name for node in nodes if node.state]):
            raise InputError(
                f"{carried[0]!r} is exported step by step, so the number of steps must be fixed, as for torch's own "
                "recurrent layers; leave axis 1 of x static, or export one step and carry its state: "
                "torch.export.export(module, (x[:, :1], state))"
            )
        if last and lengths is not None:
            raise InputError("with last, all rows must be full: pass no lengths")
        live = None
        if lengths is not None and (traced() or bool((lengths < x.shape[1]).any())):
            live = live_steps(lengths, x.shape[1])[:, :, None]
            x = torch.where(live, x, 0.0)
        else:
            lengths = None
        if self.graph.refuses_missing and not traced() and not (usable := self.usable(x)).all():
            row, step, column = (~usable).nonzero()[0].tolist()
            raise InputError(
                f"x is {x[row, step, column]:g} in row {row}, step {step}, input {column}: "
                f'{self.graph.missing_readings}; clean the data, or use an input stage with missing="hold" or "mask"'
            )
        now = self._state([field for node in nodes for field in node.state], x, state)
        values = {0: x}
        after: dict[str, Tensor] = {}
        for i, node in enumerate(nodes):
            own = {field.name.partition(".")[2]: now[field.name] for field in node.state}
            module = self._modules[node.name]
            assert module is not None
            read = [values[edge] for edge in node.reads]
            if last and i >= self.graph.tail:
                read = [value[:, -1:] for value in read]
            dropout = self.dropout if self.training and node.layer.recurrent else None
            if dropout is not None:
                module = dropout.of_weights(module)
            y, new = self._node(node, module, read, own, lengths, resets)
            values[node.writes] = y if dropout is None else dropout.of_outputs(y)
            after.update({field.name: new[field.name.partition(".")[2]] for field in node.state})
        if live is not None:
            values = {edge: torch.where(live, value, 0.0) for edge, value in values.items()}
        return values, after

    def _node(
        self,
        node: Node,
        module: torch.nn.Module,
        read: Sequence[Tensor],
        state: Mapping[str, Tensor],
        lengths: Tensor | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run one node over all steps, or in segments if states are reset or activations are recomputed."""
        time = read[0].shape[1]
        takes = resets is None or bool(module.takes_resets)
        again = self.recompute and torch.is_grad_enabled() and not traced()
        if not node.state or not time or (takes and not again):
            more = () if resets is None or not node.state else (resets,)
            whole: tuple[Tensor, dict[str, Tensor]] = module(read, state, lengths, *more)
            return whole
        cuts = {0, time}
        if not takes and resets is not None:
            cuts.update(range(time) if traced() else resets.any(0).nonzero().flatten().tolist())
        if again:
            cuts.update(range(0, time, math.isqrt(time)))
        steps = list(pairwise(sorted(cuts)))
        # Split, not sliced: the gradient of each slice would be as large as the sliced tensor.
        parts = zip(*(torch.split(edge, [b - a for a, b in steps], 1) for edge in read), strict=True)
        pieces = []
        for (a, b), part in zip(steps, parts, strict=True):
            own = None if lengths is None else (lengths - a).clamp(0, b - a)
            more = () if resets is None or not takes else (resets[:, a:b],)
            if not takes and resets is not None:
                fresh = resets[:, a] if own is None else resets[:, a] & (own > 0)
                state = {name: value.masked_fill(_beside(fresh, value), 0.0) for name, value in state.items()}
            arguments = (part, state, own, *more)
            y, state = checkpoint(module, *arguments, use_reentrant=False) if again else module(*arguments)
            pieces.append(y)
        return torch.cat(pieces, 1), dict(state)

    def _check_dropout(self, dropout: Dropout) -> None:
        layers = [node for node in self.graph.nodes if node.layer.recurrent]
        kinds = ", ".join(sorted({node.layer.kind for node in self.graph.nodes}))
        if not layers:
            raise SpecError(f"dropout is for recurrent layers, and the model has none ({kinds}); leave dropout out")
        if dropout.weights and not any(MATRIX in node.layer.tensors(node.edges) for node in layers):
            raise SpecError(
                f"weight drop is for layers with a {MATRIX}, and the model has none ({kinds}); leave it out"
            )

    def _check_resets(self, x: Tensor, resets: Tensor) -> None:
        if resets.dtype != torch.bool or resets.shape != x.shape[:2]:
            raise InputError(f"resets must be bool {tuple(x.shape[:2])}, got {resets.dtype} {tuple(resets.shape)}")
        if self.graph.window is not None or self.graph.non_causal:
            windowed = self.graph.window is not None
            why = "a window" if windowed else f"{self.graph.non_causal[0]}, which needs the whole sequence"
            raise InputError(f"resets are for models that carry their state, and this one has {why}; leave them out")

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
                f"lengths must be int64 or int32 of shape ({x.shape[0]},), got {lengths.dtype} {tuple(lengths.shape)}"
            )
        if not traced() and bool(((lengths < 0) | (lengths > x.shape[1])).any()):
            low, high = int(lengths.min()), int(lengths.max())
            raise InputError(f"lengths must be from 0 to {x.shape[1]}, got {low} to {high}")

    def _state(self, fields: Sequence[Field], x: Tensor, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        if state is None:
            return {field.name: x.new_zeros(x.shape[0], *field.shape) for field in fields}
        if unknown := set(state) - {field.name for field in self.graph.state}:
            raise StateError(f"the model has no state field {sorted(unknown)[0]!r}; its fields are {self._fields()}")
        for field in fields:
            if field.name not in state:
                raise StateError(f"state field {field.name!r} is missing; pass all of {self._fields()}")
            value = state[field.name]
            if value.shape != (x.shape[0], *field.shape) or value.dtype != x.dtype:
                wanted, got = (x.shape[0], *field.shape), f"{value.dtype} {tuple(value.shape)}"
                raise StateError(f"state field {field.name!r} must be {x.dtype} {wanted}, got {got}")
        return dict(state)

    def _fields(self) -> str:
        return ", ".join(field.name for field in self.graph.state)


def _filled_forward(readings: Tensor, usable: Tensor, first: Tensor) -> Tensor:
    """Fill readings (batch, time, columns) forward with the last usable one, from step `first` (batch, 1) on."""
    at = torch.arange(readings.shape[1], device=readings.device)[:, None]
    last = running_maximum(torch.where(usable & (at >= first[:, None]), at, -1))
    return torch.where(last >= 0, readings.gather(1, last.clamp(min=0)), readings)


def _beside(rows: Tensor, value: Tensor) -> Tensor:
    """Reshape (batch,) to (batch, 1, ...), with as many axes as a value, so that both broadcast."""
    return rows.reshape(-1, *(1,) * (value.ndim - 1))


def to_torch(model: Model, recompute: bool = False, dropout: Dropout | None = None) -> Recurrent:
    """Convert a model to a torch module that can be trained, in float32, with its own copy of the weights.

    Its `forward(x, state=None, lengths=None, resets=None)` gives `(y, state)`; see `Recurrent.forward`. On the CPU its
    recurrent layers run in the native core, forward and backward, in float32 and, after `.double()`, in float64.

    Args:
        model: the model.
        recompute: whether to compute activations again for backward, which takes less memory and more time; see
            `Recurrent`.
        dropout: dropout that acts until `eval()` is called; see `gatewise.train.Dropout`. Only the module has it: a
            model that `from_torch` makes is without dropout.

    Raises:
        InputError: an argument has the wrong type, or the model subtracts constants.
        SpecError: a layer is named "training", or the model has no layers to which `dropout` applies.
    """
    if not isinstance(model, Model):
        raise InputError(f"to_torch needs a Model, got {type(model).__name__}; use gatewise.load or gatewise.init")
    if not isinstance(recompute, bool):
        raise InputError(f"recompute must be True or False, got {recompute!r}; a Dropout is given as dropout=")
    if model.subtract is not None:
        raise InputError(
            "this model subtracts constants from its readings in float64, which a torch module does not do; pass "
            "model.relative() and readings from which model.subtract is subtracted already"
        )
    return Recurrent(model.graph, model.tensors, model.provenance, model._asked_cpu, recompute, dropout)


def tensors_of(module: Recurrent) -> dict[str, Array]:
    """Full name -> float32 array, copied, in canonical order."""
    values = module.state_dict()
    return {name: values[name].detach().to("cpu", torch.float32).numpy().copy() for name in module.graph.tensors}
