"""One training: what an update, an evaluation and a checkpoint are. `fit` in `loop.py` decides when each is due."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gatewise
from gatewise.errors import FileError, GatewiseError, InputError, TrainError
from gatewise.file import digest
from gatewise.layers.base import Array
from gatewise.model import Model
from gatewise.nn import tensors_of, to_torch
from gatewise.train import checkpoint as checkpoints
from gatewise.train.checkpoint import Checkpoint
from gatewise.train.data import largest, prepare
from gatewise.train.history import COLUMNS, History, Record, from_array, to_array
from gatewise.train.optimiser import AdamW
from gatewise.train.progress import Status
from gatewise.train.sampling import Batch, sampler_for
from gatewise.train.series import Series
from gatewise.train.settings import Settings

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""loss(out, target, mask) -> the loss of each target, of the mask's shape, or of each step, (batch, time).

Losses where the mask is False do not count. A loss of each step counts if all targets of the step are present.

out (batch, time, width) is the head's prediction if the head makes one, otherwise the output of the last layer.
target (batch, time, ...) is float32 or int64, and 0 where there is none. A model with a window is trained on the answer
to the last step of each window, so time is then 1.
"""


@dataclass
class Counters:
    """How far a run has got: the plain numbers that a checkpoint holds.

    Attributes:
        step: updates made.
        epoch: whole passes over the data made.
        batches: batches of this epoch that updates were made on.
        seconds: time used so far, over all sessions.
        learning_rate: that of the last update.
        loss: training loss, a running mean over about the last twenty updates.
        since_evaluation: updates since the last evaluation; loss_sum, norm_sum and clipped are sums over these.
        best: lowest held-out loss; None before the first evaluation, and without validation.
        best_step: the step of the best weights.
        without_gain: evaluations since the one that found the best weights.
        stopped: why the run is over, or None.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    loss: float = 0.0
    since_evaluation: int = 0
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    clipped: int = 0
    best: float | None = None
    best_step: int = 0
    without_gain: int = 0
    stopped: str | None = None

    @classmethod
    def parse(cls, plain: Any) -> Counters:
        """From a checkpoint. Raises FileError."""
        default = cls()
        if set(plain) != {field.name for field in fields(cls)}:
            raise FileError(f"it must have the counters {[field.name for field in fields(cls)]}, got {list(plain)}")
        for name, value in plain.items():
            kind = {"best": (float, int, type(None)), "stopped": (str, type(None))}.get(name)
            kind = kind or ((int,) if isinstance(getattr(default, name), int) else (float, int))
            good = isinstance(value, kind) and not isinstance(value, bool)
            good = good and (not isinstance(value, int) or 0 <= value < 1 << 53)
            if not good or (isinstance(value, str) and value not in ("budget", "patience")):
                raise FileError(f"its counter {name} is {value!r}")
        return cls(**plain)


class Run:
    """A training of a copy of `model`.

    Args:
        model: where to start.
        series, targets, mask, validation, loss: as `fit` takes them.
        settings: the settings.

    Raises:
        InputError: data that do not fit.
    """

    def __init__(
        self,
        model: Model,
        series: Series,
        targets: Any,
        mask: Any,
        validation: Any,
        loss: Loss | None,
        settings: Settings,
    ) -> None:
        self.model = model
        self.settings = settings
        self.module = to_torch(model, dropout=settings.dropout).train()
        self.data = prepare(self.module, series, targets, validation, mask)
        if loss is None:
            assert self.module.head is not None, "without a loss, fit asks for a head"
            self.loss: Loss = self.module.head.loss
        else:
            self.loss = loss
        self.sampler = sampler_for(model.graph, self.data, settings.batch, settings.bptt)
        self.parameters = dict(self.module.named_parameters())
        self.optimiser = AdamW(self.parameters, settings.weight_decay)
        self.best = tensors_of(self.module)
        self.records: list[Record] = []
        self.at = Counters()
        self._begin_epoch()
        self.evaluate_every = settings.evaluate_every or self._evaluate_every()
        self.identity: dict[str, Any] = {
            **asdict(settings),
            "loss": "head" if loss is None else f"{loss.__module__}.{getattr(loss, '__qualname__', loss)}",
            "data": self.data.fingerprint,
            "threads": torch.get_num_threads(),
            "model": hashlib.sha256((model.spec.to_json() + digest(model.tensors)).encode()).hexdigest(),
        }
        self._begin()

    def fraction(self) -> float:
        """The part of the budget that is used, from 0 to 1."""
        s, at = self.settings, self.at
        used = [
            at.step / s.steps if s.steps else 0.0,
            (at.epoch + at.batches / len(self.sampler)) / s.epochs if s.epochs else 0.0,
            at.seconds / s.seconds if s.seconds else 0.0,
        ]
        return min(1.0, max(used))

    def step(self) -> None:
        """Update the weights once, on the next batch of the epoch.

        Raises:
            TrainError: the loss or the gradient is not finite; except for torch's random generator, the run is as it
                was before the step.
            InputError: the loss has another shape than it should.
        """
        learning_rate = self._learning_rate()
        batch, state = self.sampler.batch(self.at.batches)
        out, after = self.sampler.forward(self.module, batch, state)
        total, count = self._total(out, batch)
        mean = total / max(count, 1)
        mean.backward()  # type: ignore[no-untyped-call]
        limit = self.settings.clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), limit))
        loss = float(mean.detach())
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimiser.zero_grad()
            what = "gradient" if math.isfinite(loss) else "loss"
            where = f"in step {self.at.step + 1}, at a learning rate of {learning_rate:.3g}"
            raise TrainError(f"training diverged: the {what} is not finite {where}")
        self.optimiser.step(learning_rate)
        self.optimiser.zero_grad()
        self.sampler.advance(after)
        self._count(loss, norm, norm > limit, learning_rate)

    def evaluate(self) -> None:
        """Compute the held-out loss, keep the weights if they are the best so far, and add a record to the history.

        Raises:
            TrainError: no held-out loss so far was finite, so there are no best weights.
        """
        at = self.at
        validated = self.data.held_out is not None
        validation = self.held_out_loss() if validated else math.nan
        if validated and at.best is None and not math.isfinite(validation):
            raise TrainError(
                f"the held-out loss is not finite ({validation}) after step {at.step}, so it cannot tell which weights "
                f"are best; {largest(self.module, self.data)}; correct or remove what is extreme, or hold out another "
                "part"
            )
        if not validated or validation < (math.inf if at.best is None else at.best):
            self.best, at.best_step, at.without_gain = tensors_of(self.module), at.step, 0
            at.best = validation if validated else None
        else:
            at.without_gain += 1
        self._tick()
        record = Record(
            step=at.step,
            epoch=at.epoch,
            loss=at.loss_sum / at.since_evaluation,
            validation=validation,
            learning_rate=at.learning_rate,
            gradient_norm=at.norm_sum / at.since_evaluation,
            clip_rate=at.clipped / at.since_evaluation,
            seconds=at.seconds,
        )
        self.records.append(record)
        at.since_evaluation = at.clipped = 0
        at.loss_sum = at.norm_sum = 0.0
        if at.stopped is None and self.settings.patience is not None and at.without_gain >= self.settings.patience:
            at.stopped = "patience"

    def held_out_loss(self) -> float:
        """Mean loss on the held-out part."""
        sums, counts = 0.0, 0
        after = None
        self.module.eval()
        with torch.no_grad():
            for batch, goes_on in self.sampler.held_out():
                out, after = self.sampler.forward(self.module, batch, after if goes_on else None)
                total, count = self._total(out, batch)
                sums += float(total)
                counts += count
        self.module.train()
        return sums / counts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint."""
        self._tick()
        tensors: dict[str, Array] = {f"weights.{name}": value for name, value in tensors_of(self.module).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"state.{name}": value.numpy() for name, value in self.sampler.state.items()}
        for name, own in self.optimiser.state.items():
            tensors |= {f"adam.{key}.{name}": value.numpy() for key, value in own.items()}
        tensors["generator"] = torch.get_rng_state().numpy()
        tensors["records"] = to_array(self.records)
        checkpoints.write(path, Checkpoint(self.identity, self.model.spec, asdict(self.at), tensors))

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Continue from a checkpoint. Raises FileError if it is damaged or belongs to another run."""
        found = checkpoints.read(path)
        checkpoints.check_run(path, found, self.identity)
        try:
            self._take(found)
        except GatewiseError as error:
            raise FileError(f"checkpoint {path}: {error}") from None
        self._begin()

    def _take(self, found: Checkpoint) -> None:
        """Set everything that `save` writes. Raises FileError or SpecError."""

        def take(name: str, shape: tuple[int, ...], dtype: str = "float32") -> Tensor:
            return torch.tensor(checkpoints.take(found, name, shape, dtype))

        self.at = Counters.parse(found.counters)
        self._begin_epoch()
        if self.at.batches >= len(self.sampler):
            raise FileError(f"it is at batch {self.at.batches} of an epoch of {len(self.sampler)}")
        shapes = self.model.graph.tensors
        self.module.load_state_dict({name: take(f"weights.{name}", shape) for name, shape in shapes.items()})
        self.best = {name: take(f"best.{name}", shape).numpy() for name, shape in shapes.items()}
        self.model.replace(tensors=self.best)  # refuses what cannot be a model's, now rather than at the end
        self.sampler.state = {
            name: take(f"state.{name}", tuple(value.shape)) for name, value in self.sampler.state.items()
        }
        for name, own in self.optimiser.state.items():
            own.update({key: take(f"adam.{key}.{name}", tuple(value.shape)) for key, value in own.items()})
        generator = take("generator", tuple(torch.get_rng_state().shape), "uint8")
        try:
            torch.set_rng_state(generator)
        except RuntimeError as error:
            raise FileError(f"generator is no state of torch's random generator: {error}") from None
        rows = found.tensors["records"].shape[:1] if "records" in found.tensors else (0,)
        self.records = from_array(checkpoints.take(found, "records", (*rows, len(COLUMNS)), "float64"))
        if self.at.stopped is not None and not self.records:
            raise FileError("the run is over, but has no records")

    def status(self) -> Status:
        """How far the run has got."""
        at, fraction = self.at, self.fraction()
        speed = (at.step - self._step_before) / max(at.seconds - self._seconds_before, 1e-9)
        left = at.seconds * (1.0 - fraction) / fraction if fraction else math.inf
        return Status(
            step=at.step,
            epoch=at.epoch,
            fraction=1.0 if at.stopped else fraction,
            loss=at.loss,
            validation=self.records[-1].validation if self.records else math.nan,
            best_validation=math.nan if at.best is None else at.best,
            clip_rate=at.clipped / at.since_evaluation if at.since_evaluation else self.records[-1].clip_rate,
            steps_per_second=speed,
            seconds_left=0.0 if at.stopped else left,
        )

    def result(self) -> tuple[Model, History]:
        """The model with the best weights, and the history."""
        at = self.at
        measured = {"steps": at.step, "epochs": at.epoch, "best_step": at.best_step, "loss": self.records[-1].loss}
        if at.best is not None:
            measured["validation"] = at.best
        provenance = {
            "data": self.data.fingerprint,
            "seed": self.settings.seed,
            "versions": {
                "gatewise": gatewise.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "metrics": measured,
            "training": {key: value for key, value in self.identity.items() if key not in ("data", "seed")},
        }
        model = self.model.replace(tensors=self.best, provenance=provenance)
        return model, History(tuple(self.records), at.best_step, at.best, str(at.stopped))

    def _total(self, out: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """The sum of the losses that count, and their number."""
        losses, mask = self.loss(out, batch.target, batch.mask), batch.mask
        if mask.ndim > 2 and losses.shape == mask.shape[:2]:
            mask = mask.flatten(2).all(2)
        if losses.shape != mask.shape:
            raise InputError(
                f"the loss must give one value for each target, {tuple(batch.mask.shape)}, or each step, "
                f'{tuple(batch.mask.shape[:2])}, got {tuple(losses.shape)}; do not reduce it (reduction="none")'
            )
        return torch.where(mask, losses, 0.0).sum(), int(mask.sum())

    def _learning_rate(self) -> float:
        """Learning rate of the next update: it rises linearly and then falls as half a cosine."""
        warmup, used = self.settings.warmup, self.fraction()
        if used < warmup:
            return self.settings.learning_rate * max(used / warmup, 0.01)
        return self.settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (used - warmup) / (1.0 - warmup)))

    def _count(self, loss: float, norm: float, clipped: bool, learning_rate: float) -> None:
        """Count an update."""
        at = self.at
        at.step += 1
        at.since_evaluation += 1
        at.batches += 1
        at.loss = loss if at.step == 1 else at.loss + 0.1 * (loss - at.loss)
        at.loss_sum += loss
        at.norm_sum += norm
        at.clipped += clipped
        at.learning_rate = learning_rate
        if at.batches == len(self.sampler):
            at.epoch, at.batches = at.epoch + 1, 0
            self._begin_epoch()
        self._tick()
        if self.fraction() >= 1.0:
            at.stopped = "budget"

    def _begin_epoch(self) -> None:
        """Choose the batches of an epoch, which follow from the seed and the number of the epoch alone."""
        self.sampler.begin_epoch(np.random.default_rng([self.settings.seed, self.at.epoch]))

    def _evaluate_every(self) -> int:
        """Updates between two evaluations: an epoch, but from 25 to 250, or more if evaluations take long.

        An update costs about as much as running its batch forward three times, so evaluations take at most about a
        fifth of the time.
        """
        longest = math.ceil(4 * self.sampler.evaluation_steps / (3 * self.settings.bptt))
        return max(25, min(len(self.sampler), 250), longest)

    def _begin(self) -> None:
        """Start the clock of this session: the time from here on counts."""
        self._step_before, self._seconds_before, self._began = self.at.step, self.at.seconds, time.monotonic()

    def _tick(self) -> None:
        """Bring the seconds used up to date."""
        self.at.seconds = self._seconds_before + time.monotonic() - self._began
