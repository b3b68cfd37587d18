"""What a training asks of a sampler: batches, the states they start from, and what the model answers for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gatewise.nn import Recurrent

State = dict[str, Tensor]
"""Full name of a state field, such as "gru0.hidden" -> (rows, *field shape)."""


@dataclass(frozen=True)
class Batch:
    """B rows of at most T steps.

    Attributes:
        x: raw readings (B, T, inputs).
        target: (B, S, ...): what the model should answer in the last S steps; S is T, or 1 if only the answer to
            the last step is trained.
        mask: bool, of target's shape: True where there is a target that counts.
        lengths: int64 (B,): the steps in each row, or None if all rows have T steps.
    """

    x: Tensor
    target: Tensor
    mask: Tensor
    lengths: Tensor | None


class Sampler(ABC):
    """Chooses the batches of an epoch and of an evaluation. Its length is the number of batches in an epoch.

    Attributes:
        state: the state from which the next batch starts, if it is carried from batch to batch; a checkpoint must
            hold it. Empty if every row starts from zero.
    """

    def __init__(self) -> None:
        self.state: State = {}

    @abstractmethod
    def begin_epoch(self, rng: np.random.Generator) -> None:
        """Choose the batches of the next epoch at random."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, i: int) -> tuple[Batch, State | None]:
        """Batch i of the epoch, and the state from which its rows start; None = zero."""

    @abstractmethod
    def forward(self, module: Recurrent, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """What the model answers in the steps of `batch.target`, (B, S, width), and the state after the batch."""

    @abstractmethod
    def advance(self, after: State) -> None:
        """Keep the state after an update for the next batch, without its gradient."""

    @abstractmethod
    def held_out(self) -> Iterator[tuple[Batch, bool]]:
        """The batches of an evaluation.

        Yields:
            a batch, and whether its rows start from the state after the batch before it, rather than from zero.
        """

    @property
    @abstractmethod
    def evaluation_steps(self) -> float:
        """What an evaluation costs: the number of time steps for which a full batch is run forward."""
