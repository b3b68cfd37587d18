"""`fit`: truncated back-propagation through time in plain torch, with a budget, early stopping and checkpoints.

The recipe: AdamW (Loshchilov and Hutter 2019; no decay on vectors), linear warm-up and cosine decay of the learning
rate over the budget, clipping of the gradient's global norm (Pascanu, Mikolov and Bengio 2013), dropout where it is
asked for, and of all weights those with the lowest loss on a held-out, later part of the data.
"""

from __future__ import annotations

import os
import time
from typing import Any

from gatewise.errors import InputError, SpecError, TrainError
from gatewise.file import check_writable, same_file
from gatewise.layers.train.dropout import Dropout
from gatewise.model import Model
from gatewise.train.data import Series
from gatewise.train.history import History, write_csv
from gatewise.train.process import Interrupt, threads_for, torch_settings
from gatewise.train.progress import Callback, reporter
from gatewise.train.run import Loss, Run, Settings

DEFAULT_STEPS = 2000
DEFAULT_WINDOW = 64

FIRST_CHECKPOINT = 5.0
"""Seconds to the first checkpoint of a session, if `checkpoint_every` is longer."""


def fit(
    model: Model,
    series: Series,
    targets: Any = None,
    *,
    validation: Any = 0.2,
    loss: Loss | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    epochs: int | None = None,
    batch: int = 16,
    window: int | None = None,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    warmup: float = 0.05,
    clip: float | None = 1.0,
    patience: int | None = 20,
    validate_every: int | None = None,
    dropout: Dropout | None = None,
    seed: int = 0,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = True,
    metrics: str | os.PathLike[str] | None = None,
    progress: str | bool | Callback | None = None,
) -> tuple[Model, History]:
    """Train a model on one or several series; the model given stays as it is.

    The same seed, machine and number of threads give the same bits, unless the budget is in seconds. Nothing global is
    left changed: torch's random generator and number of threads are put back.

    Args:
        model: where to start, e.g. from `gatewise.init`. Its input stage and head tables are not trained: set the
            scaling first.
        series: raw readings (time, inputs) in order of time, or a list of such. Each window of a series goes on from
            the state its predecessor left. A model whose context is a window is trained on windows of that length, from
            a zero state, in random order, and on the answer to their last step alone; a series shorter than that gives
            none.
        targets: for each series what the outputs are held to: (time, ...) floats, NaN where there is none, or whole
            numbers. None = what the model's head takes from the series itself.
        validation: the share at the end of each series that is held out, or series of their own (with targets: a tuple
            of series and targets), or 0 or None. Held-out parts are run in up to `batch` lanes, each warmed up on the
            4 * window steps before it, in the training part too; windows may reach back into that as well.
        loss: loss(out, target, mask) -> a loss for each step, not their mean: out (batch, time, width) is what the last
            layer writes, or what the head predicts from it where it does so, target and mask (batch, time, ...) are
            parts of `targets`. None = that of the head.
        steps: the budget in updates.
        seconds: the budget in seconds, over all sessions, validation included.
        epochs: the budget in passes over the data. Of several budgets the first used up ends the run; with none at all
            it is 2,000 steps.
        batch: the most lanes, or windows, trained side by side; short series get fewer.
        window: the most steps that the gradient goes back; None = 64, or the window of the model's context.
        learning_rate: at its peak.
        weight_decay: of matrices, not of biases and other vectors.
        warmup: share of the budget over which the learning rate rises; it then falls to 0 as a cosine.
        clip: the largest norm of the gradient; None = no limit.
        patience: looks at the held-out part without a new best after which the run ends; None = never.
        validate_every: steps between two looks. None = an epoch, but from 25 to 250 steps, or more where the looks
            would take more than about a fifth of the time.
        dropout: what is left out of the recurrent layers at random in each update; None = nothing. The loss of the
            training is then that of the model with parts left out, the held-out loss that of the whole one.
        seed: of sampling and of torch's generator, which dropout draws from. Weights come with the model.
        threads: of torch while it runs; None = 1 for small models, where more only wait for each other, else as set.
            A checkpoint goes on only with the number it began with: another gives other bits.
        checkpoint: a file to write all of the run's state to. A run that finds its own goes on from there, and one that
            was complete returns its result again.
        checkpoint_every: seconds between two checkpoints; 0 = after each step. The first comes after 5 seconds at most.
        resume: False = start anew whatever the checkpoint holds.
        metrics: a CSV file to write the records to.
        progress: "bar" for a bar on a terminal, True for a bar on a terminal and a line every ten seconds elsewhere,
            or a function that is called with a `Status` after each step.

    Returns:
        The model with the best weights (the last ones without validation), with provenance, and the history.

    Raises:
        InputError: data or settings that do not fit, or files that cannot be written.
        SpecError: a model that cannot be trained this way, or has nothing that dropout could leave out.
        FileError: a checkpoint that is damaged or of another run.
        TrainError: the loss or its gradient is no longer finite (the checkpoint keeps the best weights: see `recover`),
            or the held-out loss never was.
        KeyboardInterrupt: Ctrl-C; the step was finished and the checkpoint written before.
    """
    if not isinstance(model, Model):
        raise InputError(f"fit needs a Model, got {type(model).__name__}; use gatewise.load or gatewise.init")
    if steps is seconds is epochs is None:
        steps = DEFAULT_STEPS
    settings = Settings(
        steps=steps,
        seconds=seconds,
        epochs=epochs,
        batch=batch,
        window=_window(model, window),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup=warmup,
        clip=clip,
        patience=patience,
        validate_every=validate_every,
        seed=seed,
        dropout=dropout,
    )
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(f"threads must be a whole number of at least 1, got {threads!r}")
    _check_files(checkpoint, metrics)
    if not model.graph.streams:
        raise SpecError(
            f"fit trains models that carry their state or have a window, but {', '.join(model.graph.whole)} needs the "
            'whole sequence; give the model a context, e.g. context={"window": 96}'
        )
    if loss is not None and not callable(loss):
        raise InputError(f"loss must be a function (out, target, mask) -> a loss for each step, got {loss!r}")
    if model.spec.head is None and (loss is None or targets is None):
        raise InputError("a model without a head needs targets and a loss, e.g. loss=lambda y, t, mask: (y - t) ** 2")
    with torch_settings(seed, threads or threads_for(model.graph, batch)):
        run = Run(model, series, targets, validation, loss, settings)
        if checkpoint is not None and resume and os.path.exists(checkpoint):
            run.restore(checkpoint)
        with Interrupt() as interrupt, reporter(progress) as report:
            saved, wait = time.monotonic(), min(checkpoint_every, FIRST_CHECKPOINT)
            while run.at.stopped is None:
                try:
                    run.step()
                except TrainError as error:
                    raise TrainError(f"{error}; {_rescue(run, checkpoint)}") from None
                if run.at.stopped or run.at.since >= run.look_every:
                    run.look()
                    if metrics is not None:
                        write_csv(metrics, run.records)
                asked = interrupt.asked  # once: what is asked for after the checkpoint waits for the next step
                due = time.monotonic() - saved >= wait
                if checkpoint is not None and (due or asked or run.at.stopped):
                    run.save(checkpoint)
                    saved, wait = time.monotonic(), checkpoint_every
                if report is not None:
                    report(run.status())
                if asked and run.at.stopped is None:
                    kept = (
                        f"run it again to go on from {checkpoint}" if checkpoint else "without a checkpoint to keep it"
                    )
                    raise KeyboardInterrupt(f"training stopped after step {run.at.step}, {kept}")
        if metrics is not None:
            write_csv(metrics, run.records)
        return run.result()


def _check_files(checkpoint: str | os.PathLike[str] | None, metrics: str | os.PathLike[str] | None) -> None:
    """Refuse files that could not be written, or would overwrite one another. Raises InputError."""
    for name, path in (("checkpoint", checkpoint), ("metrics", metrics)):
        try:
            if path is not None:
                check_writable(path)
        except OSError as error:
            raise InputError(f"{name}={os.fspath(error.filename)!r}: {error.strerror}") from None
    if same_file({"checkpoint": checkpoint, "metrics": metrics}):
        raise InputError(f"checkpoint and metrics are the same file, {metrics}; give each a file of its own")


def _window(model: Model, window: int | None) -> int:
    """The steps that the gradient goes back."""
    own = model.graph.window
    if own is not None and window is not None and window != own:
        raise InputError(f"the model's context is a window of {own}, but window is {window}; leave window out")
    return own or (DEFAULT_WINDOW if window is None else window)


def _rescue(run: Run, checkpoint: str | os.PathLike[str] | None) -> str:
    """Keep what a diverged run has, and say what can be done."""
    advice = (
        f"try learning_rate={run.settings.learning_rate / 3:.1g} or a smaller clip, and look for outliers in the data"
    )
    if checkpoint is None:
        return f"{advice}; with checkpoint=... the best weights would have been kept"
    run.save(checkpoint)
    return f"{advice}; gatewise.train.recover({str(checkpoint)!r}) has the weights of step {run.at.best_step}"
