"""Samplers: which steps an update trains on, and from which state they start. One module for each kind of context."""

from gatewise.graph import Graph
from gatewise.train.data import Data
from gatewise.train.sampling.base import Batch, Sampler, State
from gatewise.train.sampling.carried import CarriedSampler
from gatewise.train.sampling.window import WindowSampler

__all__ = ["Batch", "CarriedSampler", "Sampler", "State", "WindowSampler", "sampler_for"]


def sampler_for(graph: Graph, data: Data, batch: int, bptt: int) -> Sampler:
    """The sampler for the context of a model.

    Args:
        graph: the model's graph, which says what its context is.
        data: what is trained on and validated on.
        batch: the most rows in a batch.
        bptt: the most steps that the gradient goes back, for a model that carries its state.

    Raises:
        InputError: no window of the context fits into the training part or into the held-out part.
    """
    if graph.window is not None:
        return WindowSampler(data, batch, graph.window)
    fields = [field for node in graph.nodes if node.name != "head" for field in node.state]
    return CarriedSampler(data, fields, batch, bptt)
