"""`fit`: training in torch with a budget, early stopping and checkpoints.

Models that carry their state are trained by truncated back-propagation through time (Williams and Peng 1990). The
optimiser is AdamW (Loshchilov and Hutter 2019) without weight decay on biases and other vectors. The learning rate
rises linearly and then falls as a cosine over the budget. The norm of the gradient over all weights is clipped
(Pascanu, Mikolov and Bengio 2013), and dropout can be applied. The model that is returned has the weights with the
lowest loss on a held-out, later part of the data.
"""

from __future__ import annotations

import inspect
import os
import time
from typing import Any

import torch

from gatewise.errors import InputError, Parameter, SpecError, TrainError
from gatewise.file import check_writable, same_file
from gatewise.layers.train.dropout import Dropout
from gatewise.model import Model
from gatewise.train.history import History, write_csv
from gatewise.train.process import Interrupt, threads_for, torch_settings
from gatewise.train.progress import Callback, reporter
from gatewise.train.run import Loss, Run
from gatewise.train.series import Series
from gatewise.train.settings import Settings

DEFAULT_STEPS = 2000
DEFAULT_BPTT = 64

FIRST_CHECKPOINT = 5.0
"""Seconds until the first checkpoint of a session, if `checkpoint_every` is longer."""


def fit(
    model: Model,
    series: Series,
    targets: Any = None,
    *,
    mask: Any = None,
    validation: Any = 0.2,
    loss: Loss | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    epochs: int | None = None,
    batch: int = 16,
    bptt: int | None = None,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    warmup: float = 0.05,
    clip: float | None = 1.0,
    patience: int | None = 20,
    evaluate_every: int | None = None,
    dropout: Dropout | None = None,
    seed: int = 0,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = True,
    metrics: str | os.PathLike[str] | None = None,
    progress: str | bool | Callback | None = None,
) -> tuple[Model, History]:
    """Train a model on one or several series. The model that is passed is not changed.

    The same seed, machine and number of threads give exactly the same weights, unless the budget is in seconds. torch's
    random generator and number of threads are restored at the end.

    Args:
        model: the model to start from, e.g. that of `gatewise.init`. Its input stage and the tables of its head are not
            trained, so set the scaling of the input first.
        series: raw readings (time, inputs) in order of time, a list of such arrays, or (series, time, inputs). A model
            that carries its state is trained on segments of at most `bptt` steps, each of which starts from the state
            at the end of the segment before it. A model whose context is a window of L steps is trained on all windows
            of L steps in random order, each from a zero state, and on the answer to the last step of each; series
            shorter than L are not used.
        targets: for each series, what the model should answer at each step: floats (time, ...), which may be NaN where
            there is no target, or integers (time, ...), such as the labels of classes. None = the targets that the
            model's head makes from the series.
        mask: for each series, a bool array (time,), or of the shape of its targets: True where there is a target. Steps
            without a target are read, but have no loss, and the value given for their target never matters. None =
            floats are targets where they are finite, and integers are targets everywhere, except for those that a
            masked array of NumPy masks.
        validation: what is held out to choose the best weights: the share at the end of each series, from 0 to below
            1; or other series, which are passed as (series, targets) or (series, targets, masks) if `targets` is
            given; 0 or None = nothing. To warm up, the state is run over up to 4 * bptt steps of the training part
            before a part that is held out, and windows may begin in the training part.
        loss: loss(out, target, mask) -> the loss of each target or of each step, not their mean: out (batch, time,
            width) is the prediction of the head if it makes one, otherwise the output of the last layer; target and
            mask (batch, time, ...) are parts of `targets` and `mask`. None = the loss of the head.
        steps: budget in updates of the weights.
        seconds: budget in seconds, over all sessions and including evaluations.
        epochs: budget in passes over the data. If several budgets are given, the run ends when the first is used up;
            if none is, the budget is 2,000 steps.
        batch: the most rows in a batch, each a piece of a series or a window. Short series give fewer.
        bptt: the most steps over which the gradient is propagated back through time. None = 64, or the length of the
            window if the model's context is one.
        learning_rate: the highest learning rate, at the end of the warm-up.
        weight_decay: weight decay of matrices; biases and other vectors have none.
        warmup: share of the budget over which the learning rate rises, from 0 to below 1. After that it falls to 0.
        clip: the largest norm that the gradient may have; longer ones are shortened to it. None = no limit.
        patience: the run ends after this many evaluations in a row without a lower held-out loss; None = never.
        evaluate_every: steps between two evaluations, which compute the held-out loss and add a record to the history.
            None = as many as an epoch has, but from 25 to 250, or more if evaluations would otherwise take more than
            about a fifth of the time.
        dropout: which parts of the recurrent layers are left out at random in each update; None = none. The training
            loss is then that of the model with parts left out, and the held-out loss that of the whole model.
        seed: seed of the sampling and of torch's random generator, which dropout uses. The weights to start from come
            with the model.
        threads: number of threads of torch during the training; None = 1 for small models, for which more are slower,
            otherwise the current setting. A checkpoint can be resumed only with the same number, because another number
            gives slightly different results.
        checkpoint: a file to which the state of the run is written. If it exists and belongs to this run, the run
            continues from there, and a run that was complete returns its result again.
        checkpoint_every: seconds between two checkpoints; 0 = after each step. The first one is written after 5 seconds
            at the latest.
        resume: False = start from the beginning, and overwrite an existing checkpoint.
        metrics: a CSV file to which the records of the history are written.
        progress: "bar" = a bar on a terminal; True = a bar on a terminal, and a line every ten seconds elsewhere; or a
            function that is called with a `Status` after each step.

    Returns:
        The model with the best weights (with the last ones if nothing is held out), whose provenance describes the
        training, and the history.

    Raises:
        InputError: data or settings do not fit, or a file cannot be written.
        SpecError: the model cannot be trained this way, or it has no layer that dropout could be applied to.
        FileError: the checkpoint is damaged or belongs to another run.
        TrainError: the loss or its gradient is no longer finite (the checkpoint then holds the best weights: see
            `recover`), or no held-out loss was ever finite.
        KeyboardInterrupt: Ctrl-C was pressed; the step was finished and the checkpoint written before.
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
        bptt=_bptt(model, bptt),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup=warmup,
        clip=clip,
        patience=patience,
        evaluate_every=evaluate_every,
        seed=seed,
        dropout=dropout,
    )
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(f"threads must be a whole number of at least 1, got {threads!r}")
    _check_files(checkpoint, metrics)
    if not model.graph.streams:
        raise SpecError(
            "fit trains models that carry their state or have a window, but "
            f"{', '.join(model.graph.non_causal)} needs the "
            'whole sequence; give the model a context, e.g. context={"window": 96}'
        )
    if loss is not None:
        _check_loss(loss)
    if model.spec.head is None and (loss is None or targets is None):
        raise InputError("a model without a head needs targets and a loss, e.g. loss=lambda y, t, mask: (y - t) ** 2")
    with torch_settings(seed, threads or threads_for(model.graph, batch)):
        run = Run(model, series, targets, mask, validation, loss, settings)
        if checkpoint is not None and resume and os.path.exists(checkpoint):
            run.restore(checkpoint)
        with Interrupt() as interrupt, reporter(progress) as report:
            saved, wait = time.monotonic(), min(checkpoint_every, FIRST_CHECKPOINT)
            while run.at.stopped is None:
                try:
                    run.step()
                except TrainError as error:
                    raise TrainError(f"{error}; {_rescue(run, checkpoint)}") from None
                if run.at.stopped or run.at.since_evaluation >= run.evaluate_every:
                    run.evaluate()
                    if metrics is not None:
                        write_csv(metrics, run.records)
                asked = interrupt.asked  # read once: a signal that arrives after the checkpoint waits for the next step
                due = time.monotonic() - saved >= wait
                if checkpoint is not None and (due or asked or run.at.stopped):
                    run.save(checkpoint)
                    saved, wait = time.monotonic(), checkpoint_every
                if report is not None:
                    report(run.status())
                if asked and run.at.stopped is None:
                    kept = (
                        f"run it again to continue from {checkpoint}"
                        if checkpoint
                        else "without a checkpoint to keep it"
                    )
                    raise KeyboardInterrupt(f"training stopped after step {run.at.step}, {kept}")
        if metrics is not None:
            write_csv(metrics, run.records)
        return run.result()


def _check_loss(loss: Any) -> None:
    """Refuse a loss that cannot be called as loss(out, target, mask). Raises InputError."""
    if not callable(loss):
        raise InputError(f"loss must be a function (out, target, mask) -> the loss of each step, got {loss!r}")
    try:
        signature = inspect.signature(loss.forward if isinstance(loss, torch.nn.Module) else loss)
    except ValueError:  # some functions written in C do not tell their parameters
        return
    try:
        signature.bind("out", "target", "mask")
    except TypeError as error:
        raise InputError(
            f"loss must be a function that can be called as loss(out, target, mask), got one with the parameters "
            f"{signature}: {error}; write e.g. loss=lambda out, target, mask: (out - target) ** 2"
        ) from None


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


def _bptt(model: Model, bptt: int | None) -> int:
    """The most steps that the gradient goes back."""
    window = model.graph.window
    if window is not None and bptt is not None and bptt != window:
        raise InputError(
            f"the model's context is a window of {window} steps, through all of which the gradient goes back, so a "
            f"length of {bptt} has no effect; leave out ",
            Parameter("bptt"),
        )
    return window or (DEFAULT_BPTT if bptt is None else bptt)


def _rescue(run: Run, checkpoint: str | os.PathLike[str] | None) -> str:
    """Write the checkpoint of a run that diverged, and say what can be done."""
    advice = (
        f"try learning_rate={run.settings.learning_rate / 3:.1g} or a smaller clip, and look for outliers in the data"
    )
    if checkpoint is None:
        return f"{advice}; with checkpoint=... the best weights would have been kept"
    run.save(checkpoint)
    return f"{advice}; gatewise.train.recover({str(checkpoint)!r}) has the weights of step {run.at.best_step}"
