"""One training: everything it carries from step to step, and what it does with it. `fit` in `loop.py` drives it."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gatewise
from gatewise.errors import FileError, GatewiseError, InputError, TrainError
from gatewise.file import digest
from gatewise.layers.base import Array
from gatewise.layers.train.dropout import Dropout, checked
from gatewise.model import Model
from gatewise.nn import tensors_of, to_torch
from gatewise.train import checkpoint as checkpoints
from gatewise.train.checkpoint import Checkpoint
from gatewise.train.data import (
    WARM,
    Batch,
    Plan,
    Series,
    Tape,
    held_batches,
    held_lanes,
    lanes_for,
    largest,
    plan_epoch,
    prepare,
    window_of,
)
from gatewise.train.history import COLUMNS, History, Record, from_array, to_array
from gatewise.train.optimiser import AdamW
from gatewise.train.progress import Status
from gatewise.train.windows import held_windows, last_of, plan_windows, spread, window_ends

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""loss(out, target, mask) -> losses of the mask's shape, or (batch, time). Those where the mask is False do not count.

out (batch, time, width) is the head's prediction where it makes one, else what the last layer writes; target (batch,
time, ...) holds 0 where there is none. A model with a window has a loss at the last step only: time is then 1.
"""


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of `fit`, which explains them. Raises InputError where one makes no sense."""

    steps: int | None
    seconds: float | None
    epochs: int | None
    batch: int
    window: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float | None
    patience: int | None
    validate_every: int | None
    seed: int
    dropout: Dropout | None

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "batch", "window", "patience", "validate_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed must be a whole number from 0, got {self.seed!r}")
        for name in ("seconds", "learning_rate", "clip"):
            value = getattr(self, name)
            absent = value is None and name != "learning_rate"
            if not absent and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise InputError(f"{name} must be a number above 0, got {value!r}")
        for name, high in (("weight_decay", math.inf), ("warmup", 1.0)):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value < high):
                raise InputError(f"{name} must be a number from 0 to below {high:g}, got {value!r}")
        object.__setattr__(self, "dropout", checked(self.dropout))


@dataclass
class Counters:
    """Where a run is: the plain numbers that a checkpoint keeps.

    Attributes:
        step: updates done.
        epoch: whole passes done.
        window: windows of this epoch done.
        seconds: used so far, over all sessions.
        rate: learning rate of the last update.
        loss: training loss, a running mean over some twenty steps.
        since: updates since the last look; loss_sum, norm_sum and clipped are over these.
        best: lowest held-out loss; None before the first look, and without validation.
        best_step: the step of the best weights.
        stale: looks since then.
        stopped: why the run is over, or None.
    """

    step: int = 0
    epoch: int = 0
    window: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    loss: float = 0.0
    since: int = 0
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    clipped: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
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
        series, targets, validation, loss: as `fit` takes them.
        settings: the hyperparameters.

    Raises:
        InputError: data that do not fit.
    """

    def __init__(
        self, model: Model, series: Series, targets: Any, validation: Any, loss: Loss | None, settings: Settings
    ) -> None:
        self.model = model
        self.settings = settings
        self.module = to_torch(model, dropout=settings.dropout).train()
        self.data = prepare(self.module, series, targets, validation)
        if loss is None:
            assert self.module.head is not None, "without a loss, fit asks for a head"
            self.loss: Loss = self.module.head.loss
        else:
            self.loss = loss
        self.windows = model.graph.window is not None
        if self.windows:
            self.ends = self._ends(self.data.train, None, "training")
            self.lanes = min(settings.batch, len(self.ends))
            self.held_ends = spread(self._ends(self.data.held, self.data.ranges, "validation"))
            self.fields = []
        else:
            self.lanes = lanes_for(self.data.train, settings.batch, settings.window)
            self.held = held_lanes(self.data, settings.batch, settings.window)
            self.fields = [field for node in model.graph.nodes if node.name != "head" for field in node.state]
        self.parameters = dict(self.module.named_parameters())
        self.optimiser = AdamW(self.parameters, settings.weight_decay)
        self.state = {field.name: torch.zeros(self.lanes, *field.shape) for field in self.fields}
        self.best = tensors_of(self.module)
        self.records: list[Record] = []
        self.at = Counters()
        self.plan = self._plan()
        self.look_every = settings.validate_every or self._look_every()
        self.identity: dict[str, Any] = {
            **asdict(settings),
            "loss": "head" if loss is None else f"{loss.__module__}.{getattr(loss, '__qualname__', loss)}",
            "data": self.data.fingerprint,
            "threads": torch.get_num_threads(),
            "model": hashlib.sha256((model.spec.to_json() + digest(model.tensors)).encode()).hexdigest(),
        }
        self._begin()

    def fraction(self) -> float:
        """Of the budget used, 0 to 1."""
        s, at = self.settings, self.at
        used = [
            at.step / s.steps if s.steps else 0.0,
            (at.epoch + at.window / len(self.plan)) / s.epochs if s.epochs else 0.0,
            at.seconds / s.seconds if s.seconds else 0.0,
        ]
        return min(1.0, max(used))

    def step(self) -> None:
        """One update, on one window of all lanes.

        Raises:
            TrainError: loss or gradient are not finite; but for torch's generator the run is as it was before the step.
            InputError: the loss gives another shape than it should.
        """
        rate = self._rate()
        batch, out, after = self._forward()
        total, count = self._total(out, batch)
        mean = total / max(count, 1)
        mean.backward()  # type: ignore[no-untyped-call]
        limit = self.settings.clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), limit))
        loss = float(mean.detach())
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimiser.forget_gradients()
            what = "gradient" if math.isfinite(loss) else "loss"
            where = f"in step {self.at.step + 1}, at a learning rate of {rate:.3g}"
            raise TrainError(f"training diverged: the {what} is not finite {where}")
        self.optimiser.step(rate)
        self.optimiser.forget_gradients()
        self.state = {name: value.detach() for name, value in after.items()}
        self._count(loss, norm, norm > limit, rate)

    def look(self) -> None:
        """Measure the held-out loss, keep the weights if they are the best, and write a record.

        Raises:
            TrainError: no held-out loss so far was finite, so there are no best weights.
        """
        at = self.at
        validation = self.validate() if self.data.held is not None else math.nan
        if self.data.held is not None and at.best is None and not math.isfinite(validation):
            raise TrainError(
                f"the held-out loss is not finite ({validation}) after step {at.step}, so it cannot tell which weights "
                f"are best; {largest(self.module, self.data.held, self.data.ranges)}; correct or remove what is "
                "extreme, or hold out another part"
            )
        if self.data.held is None or validation < (math.inf if at.best is None else at.best):
            self.best, at.best_step, at.stale = tensors_of(self.module), at.step, 0
            at.best = None if self.data.held is None else validation
        else:
            at.stale += 1
        self._tick()
        mean_loss, mean_norm, clip_rate = (value / at.since for value in (at.loss_sum, at.norm_sum, at.clipped))
        self.records.append(Record(at.step, at.epoch, mean_loss, validation, at.rate, mean_norm, clip_rate, at.seconds))
        at.since = at.clipped = 0
        at.loss_sum = at.norm_sum = 0.0
        if at.stopped is None and self.settings.patience is not None and at.stale >= self.settings.patience:
            at.stopped = "patience"

    def validate(self) -> float:
        """Mean loss on the held-out part."""
        assert self.data.held is not None
        sums, counts = 0.0, 0
        self.module.eval()
        with torch.no_grad():
            for batch, out in self._held():
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
        tensors |= {f"state.{name}": value.numpy() for name, value in self.state.items()}
        for name, memory in self.optimiser.memory.items():
            tensors |= {f"adam.{key}.{name}": value.numpy() for key, value in memory.items()}
        tensors["generator"] = torch.get_rng_state().numpy()
        tensors["records"] = to_array(self.records)
        checkpoints.write(path, Checkpoint(self.identity, self.model.spec, asdict(self.at), tensors))

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint. Raises FileError where it is damaged or of another run."""
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
        self.plan = self._plan()
        if self.at.window >= len(self.plan):
            raise FileError(f"window {self.at.window} of an epoch of {len(self.plan)}")
        shapes = self.model.graph.tensors
        self.module.load_state_dict({name: take(f"weights.{name}", shape) for name, shape in shapes.items()})
        self.best = {name: take(f"best.{name}", shape).numpy() for name, shape in shapes.items()}
        self.model.replace(tensors=self.best)  # refuses what cannot be a model's, now rather than at the end
        self.state = {
            field.name: take(f"state.{field.name}", (self.lanes, *field.shape), field.dtype) for field in self.fields
        }
        for name, memory in self.optimiser.memory.items():
            memory.update({key: take(f"adam.{key}.{name}", tuple(value.shape)) for key, value in memory.items()})
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
        """Where the run stands."""
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
            clip_rate=at.clipped / at.since if at.since else self.records[-1].clip_rate,
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

    def _forward(self) -> tuple[Batch, Tensor, dict[str, Tensor]]:
        """The windows of the next update, what the model makes of them, and the states after them."""
        start, length, fresh = (part[self.at.window] for part in (self.plan.start, self.plan.length, self.plan.fresh))
        if self.windows:
            batch = last_of(self.data.train, start, self.settings.window)
            return batch, self._last(batch), {}
        batch = window_of(self.data.train, start, length)
        keep = torch.from_numpy(~fresh)
        state = {name: value * keep.reshape(-1, *[1] * (value.ndim - 1)) for name, value in self.state.items()}
        out, _, after = self.module.body(batch.x, state, batch.lengths)
        return batch, out, after

    def _held(self) -> Iterator[tuple[Batch, Tensor]]:
        """The held-out windows, and what the model makes of them."""
        assert self.data.held is not None
        settings = self.settings
        if self.windows:
            for batch in held_windows(self.data.held, self.held_ends, settings.batch, settings.window):
                yield batch, self._last(batch)
            return
        state = None
        for first, batch in held_batches(self.data.held, self.held, settings.batch, WARM * settings.window):
            out, _, state = self.module.body(batch.x, None if first else state, batch.lengths)
            yield batch, out

    def _last(self, batch: Batch) -> Tensor:
        """What the model makes of the last step of each window: (batch, 1, width)."""
        return self.module.body(batch.x, last=True)[0][:, -1:]

    def _ends(self, tape: Tape | None, ranges: Any, part: str) -> Array:
        """Where windows with a target end. Raises InputError where there is none."""
        if tape is None:
            return np.zeros(0, np.int64)
        ends = window_ends(tape, self.settings.window, ranges)
        if not len(ends):
            raise InputError(
                f"the {part} part has no window of {self.settings.window} steps with a target at its end; "
                "give longer series, or a shorter window"
            )
        return ends

    def _total(self, out: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Sum of the losses that count, and their number."""
        losses, mask = self.loss(out, batch.target, batch.mask), batch.mask
        if mask.ndim > 2 and losses.shape == mask.shape[:2]:
            mask = mask.flatten(2).all(2)
        if losses.shape != mask.shape:
            raise InputError(
                f"the loss must give one value for each target, {tuple(batch.mask.shape)}, or each step, "
                f'{tuple(batch.mask.shape[:2])}, got {tuple(losses.shape)}; do not reduce it (reduction="none")'
            )
        return torch.where(mask, losses, 0.0).sum(), int(mask.sum())

    def _rate(self) -> float:
        """Learning rate of the next update: a linear rise, then half a cosine."""
        warmup, used = self.settings.warmup, self.fraction()
        if used < warmup:
            return self.settings.learning_rate * max(used / warmup, 0.01)
        return self.settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (used - warmup) / (1.0 - warmup)))

    def _count(self, loss: float, norm: float, clipped: bool, rate: float) -> None:
        at = self.at
        at.step += 1
        at.since += 1
        at.window += 1
        at.loss = loss if at.step == 1 else at.loss + 0.1 * (loss - at.loss)
        at.loss_sum += loss
        at.norm_sum += norm
        at.clipped += clipped
        at.rate = rate
        if at.window == len(self.plan):
            at.epoch, at.window = at.epoch + 1, 0
            self.plan = self._plan()
        self._tick()
        if self.fraction() >= 1.0:
            at.stopped = "budget"

    def _plan(self) -> Plan:
        rng = np.random.default_rng([self.settings.seed, self.at.epoch])
        if self.windows:
            return plan_windows(self.ends, self.lanes, self.settings.window, rng)
        return plan_epoch(self.data.train.lengths, self.lanes, self.settings.window, rng)

    def _look_every(self) -> int:
        """An epoch, within bounds, and four times what a look costs, counted in steps of one time step each."""
        if self.windows:
            cost = len(self.held_ends) / self.settings.batch * self.settings.window
        else:
            cost = sum(end - begin for begin, _, end in self.held) / max(1, min(len(self.held), self.settings.batch))
        return max(25, min(len(self.plan), 250), math.ceil(4 * cost / (3 * self.settings.window)))

    def _begin(self) -> None:
        """Start the clock of this session."""
        self._step_before, self._seconds_before, self._began = self.at.step, self.at.seconds, time.monotonic()

    def _tick(self) -> None:
        self.at.seconds = self._seconds_before + time.monotonic() - self._began
