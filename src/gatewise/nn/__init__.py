"""Convert a model to a torch module and back: `to_torch`, `from_torch` (re-exported by `gatewise.train`).

Parameters and buffers are named exactly as the tensors of the model file, so `state_dict()` holds what `Model.tensors`
holds, bit for bit.
"""

from gatewise.nn.answers import answers_of_module as answers_of_module
from gatewise.nn.module import Recurrent as Recurrent
from gatewise.nn.module import tensors_of as tensors_of
from gatewise.nn.module import to_torch as to_torch
from gatewise.nn.torch_layers import from_torch as from_torch

__all__ = ["Recurrent", "answers_of_module", "from_torch", "tensors_of", "to_torch"]
